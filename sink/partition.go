// Package sink has the plain types that describe a table's files: partitions,
// their keys, and what a file contains. Its subpackages do the work: stage sorts
// rows by partition, parquetfile writes and reads files, verify checks them with
// a second reader, and store holds objects.
package sink

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"prospector/schemas"
)

// Partition is one directory of a hive-partitioned table.
type Partition struct {
	// Path is relative to the table: event_type=SMS_MESSAGE/event_date=2022-01-13.
	Path string
	// Keys are the key=value pairs of the path, in order.
	Keys []PartitionKey
}

// PartitionKey is one key=value of a partition.
type PartitionKey struct {
	Column schemas.Column
	// Text is the value of a STRING key, before encoding.
	Text string
	// Day is the value of a DATE key, in days since 1970-01-01.
	Day int32
}

// PartitionOf returns the partition of a row with that type and UTC day.
func PartitionOf(table schemas.Table, kind string, day int32) Partition {
	p := Partition{Keys: make([]PartitionKey, len(table.PartitionBy))}
	var path strings.Builder
	for i, c := range table.PartitionBy {
		if i > 0 {
			path.WriteByte('/')
		}
		path.WriteString(c.Name)
		path.WriteByte('=')
		key := PartitionKey{Column: c}
		if c.Type == schemas.Date {
			key.Day = truncate(day, c.Value)
			path.WriteString(date(key.Day).Format(time.DateOnly))
		} else {
			key.Text = kind
			path.WriteString(EncodeValue(kind))
		}
		p.Keys[i] = key
	}
	p.Path = path.String()
	return p
}

// ParsePartition parses the Path of a Partition.
func ParsePartition(table schemas.Table, path string) (Partition, error) {
	segments := strings.Split(path, "/")
	if len(segments) != len(table.PartitionBy) {
		return Partition{}, fmt.Errorf("partition %q must have %d keys", path, len(table.PartitionBy))
	}
	p := Partition{Path: path}
	for i, c := range table.PartitionBy {
		value, ok := strings.CutPrefix(segments[i], c.Name+"=")
		if !ok {
			return Partition{}, fmt.Errorf("partition %q: segment %d must be %s=…", path, i+1, c.Name)
		}
		key := PartitionKey{Column: c}
		var err error
		if c.Type == schemas.Date {
			var t time.Time
			t, err = time.Parse(time.DateOnly, value)
			key.Day = int32(t.Unix() / secondsADay)
			if err == nil && truncate(key.Day, c.Value) != key.Day {
				err = fmt.Errorf("%s is not the first day of a %s", value, c.Value)
			}
		} else {
			key.Text, err = DecodeValue(value)
		}
		if err != nil {
			return Partition{}, fmt.Errorf("partition %q: %s: %w", path, c.Name, err)
		}
		p.Keys = append(p.Keys, key)
	}
	return p, nil
}

// HoldsDay reports whether rows of that UTC day can belong to the partition.
func (p Partition) HoldsDay(day int32) bool {
	for _, key := range p.Keys {
		if key.Column.Type == schemas.Date && truncate(day, key.Column.Value) != key.Day {
			return false
		}
	}
	return true
}

const secondsADay = 24 * 60 * 60

func date(day int32) time.Time { return time.Unix(int64(day)*secondsADay, 0).UTC() }

// truncate returns the first day of the day's month or year.
func truncate(day int32, to schemas.Derivation) int32 {
	t := date(day)
	switch to {
	case schemas.Month:
		t = time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC)
	case schemas.Year:
		t = time.Date(t.Year(), 1, 1, 0, 0, 0, 0, time.UTC)
	}
	return int32(t.Unix() / secondsADay)
}

// nullName is the value that Hive readers interpret as NULL.
const nullName = "__HIVE_DEFAULT_PARTITION__"

// EncodeValue encodes a partition value in the characters [A-Za-z0-9_.-], which every
// query engine leaves unchanged (docs/lake-contract.md, "Hive partition directories").
// Any other byte becomes _xHH_. So does an underscore that looks like the start of an
// encoded byte. DecodeValue is the inverse.
func EncodeValue(value string) string {
	plain := value != nullName && !strings.Contains(value, "_x")
	for i := 0; i < len(value) && plain; i++ {
		plain = safe(value[i])
	}
	if plain {
		return value
	}
	var b strings.Builder
	for i := 0; i < len(value); i++ {
		c := value[i]
		if !safe(c) || c == '_' && (strings.HasPrefix(value[i:], "_x") || value == nullName) {
			fmt.Fprintf(&b, "_x%02X_", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// DecodeValue decodes the result of EncodeValue. Any other text is an error, so that
// each value has exactly one directory.
func DecodeValue(encoded string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(encoded); i++ {
		c := encoded[i]
		if !strings.HasPrefix(encoded[i:], "_x") {
			b.WriteByte(c)
			continue
		}
		if len(encoded) < i+5 || encoded[i+4] != '_' {
			return "", fmt.Errorf("%q has an invalid _xHH_ at byte %d", encoded, i)
		}
		n, err := strconv.ParseUint(encoded[i+2:i+4], 16, 8)
		if err != nil {
			return "", fmt.Errorf("%q has an invalid _xHH_ at byte %d", encoded, i)
		}
		b.WriteByte(byte(n))
		i += 4
	}
	if value := b.String(); EncodeValue(value) == encoded {
		return value, nil
	}
	return "", fmt.Errorf("%q is not the encoding of any value", encoded)
}

func safe(c byte) bool {
	return 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '_' || c == '.' || c == '-'
}
