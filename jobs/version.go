package jobs

import (
	"runtime/debug"
	"sync"
)

// Version is the version of prospector, MAJOR.MINOR.PATCH. It is compared with
// the required_version of a configuration.
const Version = "0.1.0"

// Build identifies the source code of this program: the commit, followed by "-modified"
// if the code had other changes. It is "unknown" for a build without version control.
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

// CreatedBy returns the value of created_by in Parquet files, in the form that
// the Parquet format recommends. It is the same for all files of a build.
func CreatedBy() string { return "prospector version " + Version + " (build " + Build() + ")" }
