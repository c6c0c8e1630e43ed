package jobs

// Version is prospector's own, MAJOR.MINOR.PATCH; a configuration's
// required_version is held against it.
const Version = "0.1.0"
