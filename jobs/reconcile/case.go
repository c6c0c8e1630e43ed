package reconcile

import (
	"fmt"
	"strings"

	"prospector/jobs"
	"prospector/sink/store"
)

// CheckCase returns an error if two partitions differ only in the case of letters
// and a sink does not distinguish them: each would replace the files of the other.
// The partitions are ascending. Their paths are ASCII (sink.EncodeValue), so other
// alphabets do not matter. Table names have no capital letters.
func CheckCase(job jobs.Job, stores map[string]store.Store, partitions []string) error {
	a, b := findCaseTwins(partitions)
	if a == "" {
		return nil
	}
	for _, to := range job.Sinks {
		folds, err := store.FoldsCase(stores[to.Address])
		if err != nil {
			return to.Unusable("Sink cannot be probed", err)
		}
		if folds {
			return job.Diagnose("partition_by", "Two partitions differ only in the case of letters", fmt.Sprintf(
				"%s would have these two partitions, but the file system of %s treats both names as the same directory:\n\n  %s\n  %s\n\nNothing was published. Move the lake to a case-sensitive file system or a bucket, or partition by the date alone, so that event_type is a column.",
				job.Address, to.Address, a, b))
		}
	}
	return nil
}

// findCaseTwins returns two names that differ only in the case of letters, or "".
func findCaseTwins(names []string) (a, b string) {
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
