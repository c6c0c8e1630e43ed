package plan

import (
	"fmt"
	"strings"

	"prospector/schemas"
)

// TablePrefix is the prefix of the keys of a table's objects.
func TablePrefix(tableName string) string { return tableName + "/" }

// Key is the key of a partition's file if it has only one.
func Key(tableName, partition string) string {
	return tableName + "/" + partition + "/part-00000.parquet"
}

// Keys are the keys of a partition's files: the name of the table, the partition, and
// the number of the file.
//
// A single file is replaced atomically. Several files cannot be, and rows may move
// from one to another. So the names of several files contain a digest of their
// content, and new files are next to the old ones until all of them exist. A partition
// has all of its rows in files at any time, and Refresh distinguishes files that count
// from those that a killed apply left.
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

// QuarantineKey is the key of a table's quarantined events. It is not under the
// table's prefix, where another kind of file would break readers.
func QuarantineKey(tableName string) string { return quarantinePrefix + tableName + ".jsonl" }

const quarantinePrefix = ".prospector/quarantine/"

// IsQuarantine reports whether a key is the key of a quarantine.
func IsQuarantine(key string) bool { return strings.HasPrefix(key, quarantinePrefix) }

// DamagedKey is the key of the copy of a damaged object. It contains the object's
// checksum, so that each damage has its own copy.
func DamagedKey(key string, crc uint32) string {
	return fmt.Sprintf(".prospector/damaged/%s-%08x.parquet", strings.TrimSuffix(key, ".parquet"), crc)
}
