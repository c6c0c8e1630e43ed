package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/apache/arrow/go/v15/parquet/file"
	"github.com/apache/arrow/go/v15/parquet/pqarrow"
	"github.com/zeebo/xxh3"
)

// fingerprint identifies the rows of a table, regardless of their order and files. It
// sums hashes modulo 2⁶⁴.
type fingerprint struct {
	Rows       int64             `json:"rows"`
	Partitions map[string]int64  `json:"partitions"` // rows by "TYPE DAY"
	Columns    map[string]uint64 // sum of the hashes of each column
	Whole      uint64            // sum of the hashes of complete rows, to find values in the wrong row
}

// compared are the columns to compare. The names of partitions are compared instead of
// the partition keys. Peers have no event_id.
var compared = []string{
	"prospect_id", "event_time", "created_at", "description", "source_title", "agent_username",
	"appointment_start_time", "appointment_end_time", "appointment_status", "appointment_tour_type",
	"message_direction", "message_from", "message_to", "message_subject", "message_body", "extra_json",
}

// differences lists the columns and other properties that differ in another table.
func (f fingerprint) differences(other fingerprint) (all []string) {
	if f.Rows != other.Rows {
		all = append(all, fmt.Sprintf("%d rows, not %d", other.Rows, f.Rows))
	}
	if !maps.Equal(f.Partitions, other.Partitions) {
		all = append(all, "partitions")
	}
	for _, name := range compared {
		if f.Columns[name] != other.Columns[name] {
			all = append(all, name)
		}
	}
	if all == nil && f.Whole != other.Whole {
		all = append(all, "rows")
	}
	return all
}

// fingerprint returns the fingerprint of all Parquet files in t.Output.
func (t task) fingerprint(ctx context.Context) (fingerprint, error) {
	f := fingerprint{Partitions: make(map[string]int64), Columns: make(map[string]uint64)}
	err := filepath.WalkDir(t.Output, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".parquet" {
			return err
		}
		if err := f.addFile(ctx, path); err != nil {
			return fmt.Errorf("reading %s: %w", path, err)
		}
		return nil
	})
	return f, err
}

func (f *fingerprint) addFile(ctx context.Context, path string) error {
	in, err := file.OpenParquetFile(path, true)
	if err != nil {
		return err
	}
	defer in.Close()
	r, err := pqarrow.NewFileReader(in, pqarrow.ArrowReadProperties{BatchSize: 16 << 10}, memory.DefaultAllocator)
	if err != nil {
		return err
	}
	batches, err := r.GetRecordReader(ctx, nil, nil)
	if err != nil {
		return err
	}
	defer batches.Release()
	keys := partitionKeys(path)
	before := f.Rows
	for batches.Next() {
		if err := f.addBatch(batches.Record(), keys); err != nil {
			return err
		}
	}
	if err := batches.Err(); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if got := f.Rows - before; got != in.NumRows() { // arrow v15 treats a damaged page as the end of the file
		return fmt.Errorf("%d of %d rows can be read", got, in.NumRows())
	}
	return nil
}

// partitionKeys returns the key=value directories of a path.
func partitionKeys(path string) map[string]string {
	keys := make(map[string]string)
	for segment := range strings.SplitSeq(filepath.ToSlash(path), "/") {
		if key, value, ok := strings.Cut(segment, "="); ok {
			if plain, err := url.PathUnescape(value); err == nil {
				value = plain
			}
			keys[key] = value
		}
	}
	return keys
}

func (f *fingerprint) addBatch(batch arrow.Record, keys map[string]string) error {
	column := func(name string) (func(row int) (value []byte, ok bool), error) {
		if value, ok := keys[name]; ok {
			return func(int) ([]byte, bool) { return []byte(value), true }, nil
		}
		found := batch.Schema().FieldIndices(name)
		if len(found) != 1 {
			return func(int) ([]byte, bool) { return nil, false }, nil
		}
		return values(batch.Column(found[0]))
	}
	kind, err := column("event_type")
	if err != nil {
		return err
	}
	day, err := column("event_date")
	if err != nil {
		return err
	}
	n := int(batch.NumRows())
	rows := make([]xxh3.Hasher, n)
	for row := range n {
		k, _ := kind(row)
		d, _ := day(row)
		f.Partitions[string(k)+" "+string(d)]++
		rows[row].Write(k)
		rows[row].Write(d)
	}
	for i, name := range compared {
		value, err := column(name)
		if err != nil {
			return fmt.Errorf("column %s: %w", name, err)
		}
		for row := range n {
			v, ok := value(row)
			if !ok {
				continue
			}
			if name == "extra_json" {
				if v, err = canonical(v); err != nil {
					return err
				}
				if v == nil {
					continue
				}
			}
			hash := xxh3.HashSeed(v, uint64(i))
			f.Columns[name] += hash
			var b [8]byte
			binary.LittleEndian.PutUint64(b[:], hash)
			rows[row].Write(b[:])
		}
	}
	for row := range n {
		f.Whole += rows[row].Sum64()
	}
	f.Rows += int64(n)
	return nil
}

// values returns the values of a column as bytes that do not depend on its Arrow type.
// Times become microseconds since 1970, other values text.
func values(column arrow.Array) (func(row int) ([]byte, bool), error) {
	var value func(row int) []byte
	switch c := column.(type) {
	case *array.String:
		value = func(row int) []byte { return []byte(c.Value(row)) }
	case *array.LargeString:
		value = func(row int) []byte { return []byte(c.Value(row)) }
	case *array.Date32:
		value = func(row int) []byte { return []byte(c.Value(row).FormattedString()) }
	case *array.Timestamp:
		unit := c.DataType().(*arrow.TimestampType).Unit
		value = func(row int) []byte {
			return binary.LittleEndian.AppendUint64(nil, uint64(c.Value(row).ToTime(unit).UnixMicro()))
		}
	case *array.Dictionary:
		texts, ok := c.Dictionary().(*array.String)
		if !ok {
			return nil, fmt.Errorf("unexpected type %s", c.DataType())
		}
		value = func(row int) []byte { return []byte(texts.Value(c.GetValueIndex(row))) }
	case *array.Null:
	default:
		return nil, fmt.Errorf("unexpected type %s", c.DataType())
	}
	return func(row int) ([]byte, bool) {
		if column.IsNull(row) {
			return nil, false
		}
		return value(row), true
	}, nil
}

// canonical returns a JSON object with sorted keys. It removes the paths of values,
// "$from", which only prospector records. If nothing else is left, it returns nil.
func canonical(text []byte) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	var object map[string]any
	if err := d.Decode(&object); err != nil {
		return nil, fmt.Errorf("extra_json is not a JSON object: %w", err)
	}
	delete(object, "$from")
	if len(object) == 0 {
		return nil, nil
	}
	return json.Marshal(object)
}
