package run

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"prospector/jobs"
	"prospector/sink/store"
)

// noCaseTwins refuses partitions whose paths differ only in the case of letters,
// where a sink would take them for one: each would replace the files of the other.
// Paths are ASCII, so that no other letters are equal (sink.EncodeValue); names of
// tables have no capital letters.
func (s *Session) noCaseTwins(job jobs.Job, partitions map[string]bool) error {
	a, b := caseTwins(slices.Sorted(maps.Keys(partitions)))
	if a == "" {
		return nil
	}
	for _, to := range job.Sinks {
		folds, err := store.FoldsCase(s.stores[to.Address])
		if err != nil {
			return to.Unusable("Sink cannot be probed", err)
		}
		if folds {
			return job.Diagnose("partition_by", "Two partitions differ only in the case of letters", fmt.Sprintf(
				"%s would have these two partitions, and the file system of %s takes both names for one directory:\n\n  %s\n  %s\n\nNothing was published. Put the lake on a file system that tells upper from lower case, or into a bucket; or partition by the date alone, with which event_type is a column.",
				job.Address, to.Address, a, b))
		}
	}
	return nil
}

// caseTwins gives two names that differ only in the case of letters, or "".
func caseTwins(names []string) (a, b string) {
	seen := make(map[string]string, len(names))
	for _, name := range names {
		folded := strings.ToLower(name)
		if other, ok := seen[folded]; ok && other != name {
			return other, name
		}
		seen[folded] = name
	}
	return "", ""
}
