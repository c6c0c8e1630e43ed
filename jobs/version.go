package jobs

import (
	"runtime/debug"
	"sync"
)

// Version is prospector's own, MAJOR.MINOR.PATCH; a configuration's
// required_version is held against it.
const Version = "0.1.0"

// Build identifies the source that this program was built from: the commit,
// followed by "-modified" when the source had changes that are not in it. It is
// "unknown" when the program was built without version control.
var Build = sync.OnceValue(func() string {
	info, _ := debug.ReadBuildInfo()
	return build(info)
})

func build(info *debug.BuildInfo) string {
	if info == nil {
		return "unknown"
	}
	commit, modified := "unknown", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			commit = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			modified = "-modified"
		}
	}
	return commit + modified
}

// CreatedBy is how a Parquet file names its writer, in the form that the format
// recommends. It is the same for all files that one build writes.
func CreatedBy() string { return "prospector version " + Version + " (build " + Build() + ")" }
