package jobs

import (
	"regexp"
	"runtime/debug"
	"testing"
)

func TestBuild(t *testing.T) {
	set := func(pairs ...string) *debug.BuildInfo {
		info := new(debug.BuildInfo)
		for i := 0; i < len(pairs); i += 2 {
			info.Settings = append(info.Settings, debug.BuildSetting{Key: pairs[i], Value: pairs[i+1]})
		}
		return info
	}
	for _, test := range []struct {
		name string
		info *debug.BuildInfo
		want string
	}{
		{"no information", nil, "unknown"},
		{"no version control", set("GOOS", "linux"), "unknown"},
		{"a commit", set("vcs.revision", "abc", "vcs.modified", "false", "vcs.time", "2026-01-01T00:00:00Z"), "abc"},
		{"a commit and changes", set("vcs.modified", "true", "vcs.revision", "abc"), "abc-modified"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := build(test.info); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
	if !regexp.MustCompile(`^prospector version \d+\.\d+\.\d+ \(build [0-9a-z-]+\)$`).MatchString(CreatedBy()) {
		t.Errorf("CreatedBy returned %q", CreatedBy())
	}
}
