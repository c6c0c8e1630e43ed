package plan

import (
	"fmt"
	"strings"

	"prospector/schemas"
)

// TablePrefix is what the keys of a job's objects begin with.
func TablePrefix(job string) string { return job + "/" }

// Key is the key of the only object of a partition.
func Key(job, partition string) string { return job + "/" + partition + "/part-00000.parquet" }

// Keys are the keys of a partition's objects: the job's name, the partition, and
// the part's number.
//
// The only file of a partition is replaced at once, whole. Several cannot be, and
// rows may go from one to another; so the names of several say what is in them,
// and new ones stand beside the old ones until all of them are there. A partition
// always has all of its rows in files, and what is left over of an apply that was
// killed is told from what counts: see Refresh.
func Keys(job, partition string, files []*Staged) []string {
	keys := make([]string, len(files))
	for i, f := range files {
		content := schemas.HashValuesOf(f.SchemaFingerprint).String(f.Content.String())
		keys[i] = fmt.Sprintf("%s/%s/part-%05d-%s.parquet", job, partition, i, content)
	}
	if len(files) == 1 {
		keys[0] = Key(job, partition)
	}
	return keys
}

// QuarantineKey is the key of a job's quarantined events. It is outside of the
// table's prefix, where a stray file would break readers.
func QuarantineKey(job string) string { return quarantinePrefix + job + ".jsonl" }

const quarantinePrefix = ".prospector/quarantine/"

// IsQuarantine reports whether a key is that of a quarantine.
func IsQuarantine(key string) bool { return strings.HasPrefix(key, quarantinePrefix) }

// DamagedKey is the key under which a damaged object of a table is kept. It names
// the object's checksum, so that every kind of damage has its own copy.
func DamagedKey(key string, crc uint32) string {
	return fmt.Sprintf(".prospector/damaged/%s-%08x.parquet", strings.TrimSuffix(key, ".parquet"), crc)
}
