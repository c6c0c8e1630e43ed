package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/compress"
	"github.com/apache/arrow/go/v15/parquet/pqarrow"
)

// The naive peer is a straightforward program: a loop over the lines that decodes JSON
// into maps and keeps all rows in memory, then one file for each partition. It does not
// need Python. It shares only the Parquet library with prospector.

// naiveColumn is a column, its paths in the event, and the prefix of the event types
// that it applies to.
type naiveColumn struct {
	name  string
	paths []string
	when  string
	time  bool
}

var naiveColumns = []naiveColumn{
	{name: "event_time", paths: []string{"eventTime"}, time: true},
	{name: "created_at", paths: []string{"createdAt"}, time: true},
	{name: "description", paths: []string{"description"}},
	{name: "source_title", paths: []string{"source.title"}},
	{name: "agent_username", paths: []string{"agent.username"}},
	{name: "appointment_start_time", paths: []string{"data.startTime"}, when: "APPOINTMENT_", time: true},
	{name: "appointment_end_time", paths: []string{"data.endTime"}, when: "APPOINTMENT_", time: true},
	{name: "appointment_status", paths: []string{"data.status"}, when: "APPOINTMENT_"},
	{name: "appointment_tour_type", paths: []string{"data.tourType"}, when: "APPOINTMENT_"},
	{name: "message_direction", paths: []string{"data.direction", "data.messageDirection"}},
	{name: "message_from", paths: []string{"data.from", "data.sender", "data.fromAddress", "data.fromNumber"}},
	{name: "message_to", paths: []string{"data.to", "data.recipient", "data.toAddress", "data.toNumber"}},
	{name: "message_subject", paths: []string{"data.subject", "data.title"}},
	{name: "message_body", paths: []string{"data.body", "data.text", "data.message", "data.content"}},
}

func naiveSchema() *arrow.Schema {
	fields := []arrow.Field{{Name: "prospect_id", Type: arrow.BinaryTypes.String, Nullable: true}}
	for _, c := range naiveColumns {
		field := arrow.Field{Name: c.name, Type: arrow.BinaryTypes.String, Nullable: true}
		if c.time {
			field.Type = arrow.FixedWidthTypes.Timestamp_us
		}
		fields = append(fields, field)
	}
	fields = append(fields, arrow.Field{Name: "extra_json", Type: arrow.BinaryTypes.String, Nullable: true})
	return arrow.NewSchema(fields, nil)
}

// naive exports the events in t.Pages to t.Output.
func (t task) naive(context.Context) (cost, error) {
	watch := start()
	n := naiveTable{schema: naiveSchema(), partitions: make(map[string]*array.RecordBuilder)}
	if err := n.readPages(t.Pages); err != nil {
		return cost{}, err
	}
	for path, rows := range n.partitions {
		if err := n.write(filepath.Join(t.Output, path), rows, t.Compression); err != nil {
			return cost{}, err
		}
	}
	return watch.stop(), nil
}

type naiveTable struct {
	schema     *arrow.Schema
	partitions map[string]*array.RecordBuilder // by path
}

func (n *naiveTable) readPages(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	var of string
	var seen map[string]bool
	for lines := json.NewDecoder(bufio.NewReaderSize(f, 1<<20)); ; {
		var page struct {
			ProspectID string `json:"prospect_id"`
			Edges      []struct{ Node json.RawMessage }
		}
		if err := lines.Decode(&page); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if page.ProspectID != of {
			of, seen = page.ProspectID, make(map[string]bool)
		}
		for _, edge := range page.Edges {
			if seen[string(edge.Node)] {
				continue
			}
			seen[string(edge.Node)] = true
			if err := n.add(of, edge.Node); err != nil {
				return err
			}
		}
	}
}

func (n *naiveTable) add(prospect string, node []byte) error {
	var event map[string]any
	if err := json.Unmarshal(node, &event); err != nil {
		return err
	}
	kind, _ := take(event, "type").(string)
	values, day := make([]any, len(naiveColumns)), ""
	for i, c := range naiveColumns {
		if !strings.HasPrefix(kind, c.when) {
			continue
		}
		for _, path := range c.paths {
			if values[i] = take(event, path); values[i] != nil {
				break
			}
		}
		if text, ok := values[i].(string); c.time && ok {
			at, err := time.Parse(time.RFC3339, text)
			if err != nil {
				return err
			}
			if values[i] = at; day == "" { // of event_time, otherwise of created_at
				day = at.UTC().Format(time.DateOnly)
			}
		}
	}
	path := fmt.Sprintf("event_type=%s/event_date=%s", kind, day)
	rows := n.partitions[path]
	if rows == nil {
		rows = array.NewRecordBuilder(memory.DefaultAllocator, n.schema)
		n.partitions[path] = rows
	}
	rows.Field(0).(*array.StringBuilder).Append(prospect)
	for i, value := range values {
		switch b := rows.Field(i + 1).(type) {
		case *array.StringBuilder:
			if text, ok := value.(string); ok {
				b.Append(text)
			} else {
				b.AppendNull()
			}
		case *array.TimestampBuilder:
			if at, ok := value.(time.Time); ok {
				b.Append(arrow.Timestamp(at.UnixMicro()))
			} else {
				b.AppendNull()
			}
		}
	}
	extra := rows.Field(len(values) + 1).(*array.StringBuilder)
	if len(event) == 0 {
		extra.AppendNull()
		return nil
	}
	text, err := json.Marshal(event)
	extra.Append(string(text))
	return err
}

// take removes a value from the event and returns it. It also removes the object around
// the value if nothing else is in it.
func take(event map[string]any, path string) any {
	first, rest, nested := strings.Cut(path, ".")
	value := event[first]
	if !nested {
		if value != nil {
			delete(event, first)
		}
		return value
	}
	inner, _ := value.(map[string]any)
	value = take(inner, rest)
	if value != nil && len(inner) == 0 {
		delete(event, first)
	}
	return value
}

func (n *naiveTable) write(dir string, rows *array.RecordBuilder, codec string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(dir, "part-0.parquet"))
	if err != nil {
		return err
	}
	compression := compress.Codecs.Snappy
	if codec == "zstd" {
		compression = compress.Codecs.Zstd
	}
	w, err := pqarrow.NewFileWriter(n.schema, f, parquet.NewWriterProperties(parquet.WithCompression(compression)), pqarrow.DefaultWriterProps())
	if err != nil {
		return errors.Join(err, f.Close())
	}
	record := rows.NewRecord()
	defer record.Release()
	return errors.Join(w.Write(record), w.Close()) // closes the file as well
}
