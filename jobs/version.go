package jobs

import (
	"runtime/debug"
	"sync"
)

// Version is the version of prospector, MAJOR.MINOR.PATCH. The required_version of a
// configuration is compared with it.
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

// CreatedBy is the name of the writer in Parquet files, in the form that the format
// recommends. All files that one build writes have the same.
func CreatedBy() string { return "prospector version " + Version + " (build " + Build() + ")" }
