package gcs

import (
	"context"
	"fmt"
	"time"

	"cloud.google.com/go/storage"

	"prospector/sink/store"
)

// adviceTimeout is shorter than the patience of other calls, because a run does not depend
// on the advice.
const adviceTimeout = time.Minute

// Advise implements store.Advisor. The settings are described at
// https://cloud.google.com/storage/docs/control-data-lifecycles.
func (s *Store) Advise(ctx context.Context) []store.Advice {
	ctx, cancel := context.WithTimeoutCause(ctx, adviceTimeout, &exhausted{after: adviceTimeout})
	defer cancel()
	attrs, err := s.container().Attrs(ctx)
	if err != nil {
		return []store.Advice{unchecked(ctx, s, err)}
	}
	return advise(attrs, uri(s.bucket, "", ""))
}

// readingSettings needs a permission that roles/storage.objectUser lacks.
var readingSettings = attempt{"reading the settings of", "storage.buckets.get", "roles/storage.legacyBucketReader"}

// unchecked says that the settings of the bucket cannot be read.
func unchecked(ctx context.Context, s *Store, err error) store.Advice {
	bucket := uri(s.bucket, "", "")
	return store.Advice{
		Retains: true, Note: true,
		Summary: "The settings of " + bucket + " were not checked",
		Detail: fmt.Sprintf("So it is not known whether the bucket keeps replaced and deleted objects, by object versioning, soft delete, a retention policy or holds: %s.\n\n"+
			"An account that may read the settings can show them:\n\n    gcloud storage buckets describe %s", s.reasonFor(ctx, readingSettings, "", err), bucket),
	}
}

// advise describes the settings of a bucket that keep the bytes of replaced and deleted
// objects, or that change the meaning of a setting of prospector.
func advise(attrs *storage.BucketAttrs, bucket string) (all []store.Advice) {
	warn := func(summary, format string, args ...any) {
		all = append(all, store.Advice{Retains: true, Summary: bucket + " " + summary, Detail: fmt.Sprintf(format, args...)})
	}
	note := func(summary, detail string) {
		all = append(all, store.Advice{Note: true, Summary: bucket + " " + summary, Detail: detail})
	}
	if attrs.VersioningEnabled {
		warn("keeps noncurrent versions of objects", "Object versioning is on. When prospector replaces or deletes an object, its former bytes remain in the bucket as a noncurrent version. "+
			"That includes rows of erased prospects. To turn versioning off:\n\n"+
			"    gcloud storage buckets update %[1]s --no-versioning\n\n"+
			"The versions that exist already remain. To list them:\n\n"+
			"    gcloud storage ls --all-versions '%[1]s/**'\n\n"+
			"To delete all noncurrent versions in the bucket, replace its lifecycle rules by this one, which takes effect within a day:\n\n"+
			"    echo '%[2]s' > lifecycle.json\n"+
			"    gcloud storage buckets update %[1]s --lifecycle-file=lifecycle.json", bucket, noncurrentRule)
	}
	if p := attrs.SoftDeletePolicy; p != nil && p.RetentionDuration > 0 {
		warn("keeps deleted objects for "+days(p.RetentionDuration), "Soft delete is on, which is the default of a new bucket. When prospector replaces or deletes an object, "+
			"its former bytes can be restored for %[1]s. That includes rows of erased prospects. To turn soft delete off:\n\n"+
			"    gcloud storage buckets update %[2]s --clear-soft-delete\n\n"+
			"Objects that were deleted before remain for the time that was set then. No command removes them earlier.", days(p.RetentionDuration), bucket)
	}
	if p := attrs.RetentionPolicy; p != nil && p.RetentionPeriod > 0 {
		what := fmt.Sprintf("Objects cannot be replaced or deleted until they are %s old. So prospector can neither update partitions and the state, nor renew or release the lock of a run, nor erase a prospect. ", days(p.RetentionPeriod))
		if p.IsLocked {
			warn("has a locked retention policy", "%sThe policy can never be removed. Use another bucket.", what)
		} else {
			warn("has a retention policy", "%sRemove the policy, or use another bucket:\n\n    gcloud storage buckets update %s --clear-retention-period", what, bucket)
		}
	}
	if attrs.DefaultEventBasedHold {
		warn("holds new objects", "Each new object gets an event-based hold, and cannot be replaced or deleted until the hold is released. "+
			"So prospector can neither update partitions and the state, nor renew or release the lock of a run, nor erase a prospect. To stop this, and to release the existing holds:\n\n"+
			"    gcloud storage buckets update %[1]s --no-default-event-based-hold\n"+
			"    gcloud storage objects update '%[1]s/PREFIX/**' --no-event-based-hold", bucket)
	}
	if a := attrs.Autoclass; a != nil && a.Enabled {
		note("has Autoclass", "New objects begin in Standard storage, so the attribute storage_class has no effect. Reading a file, as verify does, moves it back to Standard storage.")
	}
	if h := attrs.HierarchicalNamespace; h != nil && h.Enabled {
		note("has a hierarchical namespace", "When the last object of a folder is deleted, the empty folder remains. prospector and its readers ignore it.")
	}
	return all
}

// noncurrentRule is a lifecycle configuration that deletes noncurrent versions:
// https://cloud.google.com/storage/docs/lifecycle#islive.
const noncurrentRule = `{"rule": [{"action": {"type": "Delete"}, "condition": {"isLive": false}}]}`

// days formats a duration such as a retention period.
func days(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d == day:
		return "1 day"
	case d%day == 0:
		return fmt.Sprintf("%d days", d/day)
	}
	return d.String()
}
