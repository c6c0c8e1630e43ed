package plan

import (
	"fmt"
	"strings"

	"prospector/schemas"
)

// TablePrefix is the prefix of the keys of a table's objects.
func TablePrefix(tableName string) string { return tableName + "/" }

// Key returns the key of a partition's only file.
func Key(tableName, partition string) string {
	return tableName + "/" + partition + "/part-00000.parquet"
}

// Keys returns the keys of a partition's files. A key consists of the table
// name, the partition and the number of the file.
//
// A single file is replaced atomically, but several files are not, and rows may
// move between them. So the names of several files contain a digest of their
// content, and the new files are written next to the old ones. All rows of a
// partition are in files at any time, and Refresh can distinguish current files
// from those that an interrupted apply left.
func Keys(tableName, partition string, files []*Staged) []string {
	keys := make([]string, len(files))
	for i, f := range files {
		content := schemas.HashValuesOf(f.SchemaFingerprint).String(f.Content.String())
		keys[i] = fmt.Sprintf("%s/%s/part-%05d-%s.parquet", tableName, partition, i, content)
	}
	if len(files) == 1 {
		keys[0] = Key(tableName, partition)
	}
	return keys
}

// QuarantineKey returns the key of a table's quarantined events. It is not
// under the table's prefix, where another kind of file would break readers.
func QuarantineKey(tableName string) string { return quarantinePrefix + tableName + ".jsonl" }

const quarantinePrefix = ".prospector/quarantine/"

// IsQuarantine reports whether a key is the key of a quarantine.
func IsQuarantine(key string) bool { return strings.HasPrefix(key, quarantinePrefix) }

// DamagedKey returns the key of the copy of a damaged object. The key contains
// the object's checksum, so that a copy never replaces a different one.
func DamagedKey(key string, crc uint32) string {
	return fmt.Sprintf(".prospector/damaged/%s-%08x.parquet", strings.TrimSuffix(key, ".parquet"), crc)
}
