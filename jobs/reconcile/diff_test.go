package reconcile

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/google/go-cmp/cmp"

	"prospector/internal/bug"
	"prospector/schemas"
	"prospector/schemas/records"
)

// These tests write a row as one letter of ID and a description: "a1" is version 1 of
// event a. The description of "a" is NULL.

// streamOf returns a stream of rows. Each text is a batch: "a1 b1" has two rows, and
// "!" is an error.
func streamOf(batches ...string) records.Rows {
	return func(yield func(arrow.Record, error) bool) {
		for _, b := range batches {
			if b == "!" {
				yield(nil, errStream)
				return
			}
			if !yield(batchOf(strings.Split(b, " ")), nil) {
				return
			}
		}
	}
}

var errStream = errors.New("the stream broke")

func batchOf(versions []string) arrow.Record {
	columns := schemas.KnockEvents().Columns
	b := array.NewRecordBuilder(memory.DefaultAllocator, records.Schema(columns))
	for _, v := range versions {
		if v == "" {
			continue
		}
		for i, c := range columns {
			switch {
			case c.Name == "event_id":
				b.Field(i).(*array.StringBuilder).Append(v[:1])
			case c.Name == "prospect_id": // a to e belong to one prospect, the others to another
				b.Field(i).(*array.StringBuilder).Append(prospectOf(v))
			case c.Name == "description" && len(v) > 1:
				b.Field(i).(*array.StringBuilder).Append(v[1:])
			case c.Name == "event_time":
				b.Field(i).(*array.TimestampBuilder).Append(arrow.Timestamp(v[0]) * 24 * 60 * 60 * 1e6) // a day an event
			default:
				b.Field(i).AppendNull()
			}
		}
	}
	return b.NewRecord()
}

func prospectOf(v string) string {
	if v[0] <= 'e' {
		return "early"
	}
	return "late"
}

// versionsOf reads a stream back.
func versionsOf(rows records.Rows) (versions []string, err error) {
	for batch, err := range rows {
		if err != nil {
			return versions, err
		}
		ids, descriptions := textsOf(batch, "event_id"), textsOf(batch, "description")
		for i, id := range ids {
			versions = append(versions, id+descriptions[i])
		}
	}
	return versions, nil
}

// textsOf returns the texts of a column. A NULL is "".
func textsOf(batch arrow.Record, name string) (texts []string) {
	column := batch.Column(batch.Schema().FieldIndices(name)[0]).(*array.String)
	for i := range column.Len() {
		texts = append(texts, strings.Clone(column.Value(i)))
	}
	return texts
}

// limits are memory limits: the IDs of these tests fit in one, but not in the other.
var limits = map[string]int64{"in memory": 1 << 20, "on disk": 1}

// compared is what a comparison found.
type compared struct {
	diff
	missing, leaving string // IDs, in their order
	kept             string
}

// compareRows compares rows with that much memory for IDs.
func compareRows(t *testing.T, limit int64, table schemas.Table, incoming, published records.Rows, of func(prospect string) absence) (found compared, err error) {
	t.Helper()
	names := make(map[id]string)
	for batch, err := range published {
		if err != nil {
			break
		}
		for row, i := range rowIDs(table, batch) {
			names[i] = textsOf(batch, "event_id")[row]
		}
	}
	var missing, leaving, kept []string
	c := comparison{
		table: table, ids: newIDMemory(limit, t.TempDir()), absence: of,
		missing: func(ids []id, leaves []bool) error {
			for row, i := range ids {
				if missing = append(missing, names[i]); leaves[row] {
					leaving = append(leaving, names[i])
				}
			}
			return nil
		},
		keep: func(rows arrow.Record) error {
			kept = append(kept, textsOf(rows, "event_id")...)
			return nil
		},
	}
	count := int64(0)
	for batch, err := range incoming {
		if err == nil {
			count += batch.NumRows()
		}
	}
	found.diff, err = c.run(t.Context(), count, incoming, published)
	found.missing, found.leaving, found.kept = strings.Join(missing, " "), strings.Join(leaving, " "), strings.Join(kept, " ")
	return found, err
}

func TestCompare(t *testing.T) {
	for _, test := range []struct {
		name                      string
		incoming, published       []string
		added, changed, unchanged int64
		missing                   string
		days                      string // of the added rows
	}{
		{"nothing", nil, nil, 0, 0, 0, "", ""},
		{"nothing was published", []string{"a1 b1"}, nil, 2, 0, 0, "", "ab"},
		{"nothing is new", nil, []string{"a1", "b1"}, 0, 0, 0, "a b", ""},
		{"all the same", []string{"a1 b1 c1"}, []string{"a1 b1", "c1"}, 0, 0, 3, "", ""},
		{"in another order", []string{"b1", "a1"}, []string{"a1 b1"}, 0, 0, 2, "", ""},
		{"one changed", []string{"a1 b2"}, []string{"a1 b1"}, 0, 1, 1, "", ""},
		{"NULL became a value", []string{"a1"}, []string{"a"}, 0, 1, 0, "", ""},
		{"all of it", []string{"a1 b2", "d1"}, []string{"a1 b1 c1"}, 1, 1, 1, "c", "d"},
		{"empty batches", []string{"", "a1", ""}, []string{"", "a1"}, 0, 0, 1, "", ""},
	} {
		for name, limit := range limits {
			t.Run(test.name+" "+name, func(t *testing.T) {
				got, err := compareRows(t, limit, schemas.KnockEvents(), streamOf(test.incoming...), streamOf(test.published...), nil)
				if err != nil {
					t.Fatal(err)
				}
				if got.missing != test.missing || got.kept != test.missing {
					t.Errorf("missing are %q, kept %q, want %q", got.missing, got.kept, test.missing)
				}
				if got.added != test.added || got.changed != test.changed || got.unchanged != test.unchanged {
					t.Errorf("the counts are %+v", got.diff)
				}
				want := make(daySet)
				for _, day := range test.days {
					want[day] = struct{}{}
				}
				if diff := cmp.Diff(want, got.addedDays); diff != "" {
					t.Errorf("the days of added rows (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// A missing row leaves if its prospect was read completely.
func TestCompareFindsLeavingRows(t *testing.T) {
	for name, limit := range limits {
		t.Run(name, func(t *testing.T) {
			got, err := compareRows(t, limit, schemas.KnockEvents(), streamOf("a1"), streamOf("a1 b1 c1 x1"), func(prospect string) absence {
				return absence{complete: true, leaves: prospect == "early"}
			})
			if err != nil || got.missing != "b c x" || got.leaving != "b c" {
				t.Errorf("missing are %q, and %q leave: %v", got.missing, got.leaving, err)
			}
		})
	}
}

func TestCompareErrors(t *testing.T) {
	for _, test := range []struct {
		name                string
		incoming, published []string
		want                error
	}{
		{"the new rows break", []string{"a1", "!"}, []string{"a1"}, errStream},
		{"the published rows break", []string{"a1"}, []string{"a1", "!"}, errStream},
		{"an ID twice", []string{"a1 b1", "a2"}, nil, bug.ErrInternal},
	} {
		for name, limit := range limits {
			t.Run(test.name+" "+name, func(t *testing.T) {
				_, err := compareRows(t, limit, schemas.KnockEvents(), streamOf(test.incoming...), streamOf(test.published...), nil)
				if !errors.Is(err, test.want) {
					t.Errorf("the error is %v, want %v", err, test.want)
				}
			})
		}
	}
}

// A comparison counts, by event type, the published rows and the values of each side.
func TestCompareCountsTypes(t *testing.T) {
	byDay, err := schemas.KnockEvents().PartitionedBy("event_date")
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		table schemas.Table
		key   string
	}{
		"the path has the type":     {schemas.KnockEvents(), ""},
		"the columns have the type": {byDay, "SMS_MESSAGE"},
	} {
		for where, limit := range limits {
			t.Run(name+" "+where, func(t *testing.T) {
				shaped := func(texts ...string) records.Rows { return ofType("SMS_MESSAGE", test.table, streamOf(texts...)) }
				found, err := compareRows(t, limit, test.table, shaped("a1 d"), shaped("a1 b1", "c1 x1"), func(prospect string) absence {
					return absence{complete: prospect == "early"}
				})
				if err != nil {
					t.Fatal(err)
				}
				got := found.types[test.key]
				if len(found.types) != 1 || got == nil {
					t.Fatalf("the types are %v", found.types)
				}
				if got.returned.rows != 1 || got.absent != 2 || got.incoming.rows != 2 {
					t.Errorf("the counts are %+v", got)
				}
				counts, err := countValues(test.table, shaped("a1 d"))
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(got.incoming, counts[test.key], cmp.AllowUnexported(valueCount{})); diff != "" {
					t.Error(diff)
				}
				at := slices.IndexFunc(test.table.Columns, func(c schemas.Column) bool { return c.Name == "description" })
				if got.incoming.values[at] != 1 || got.returned.values[at] != 1 || got.incoming.values[0] != 2 {
					t.Errorf("the values are %v and %v", got.incoming.values, got.returned.values)
				}
			})
		}
	}
}

// ofType returns rows of the built-in table with the columns of another table. Every
// row has the given type.
func ofType(eventType string, table schemas.Table, rows records.Rows) records.Rows {
	from := schemas.KnockEvents().Columns
	return func(yield func(arrow.Record, error) bool) {
		for batch, err := range rows {
			if err != nil {
				yield(nil, err)
				return
			}
			var columns []arrow.Array
			for _, c := range table.Columns {
				if at := slices.IndexFunc(from, func(f schemas.Column) bool { return f.Name == c.Name }); at >= 0 {
					columns = append(columns, batch.Column(at))
					continue
				}
				types := array.NewStringBuilder(memory.DefaultAllocator)
				for range batch.NumRows() {
					types.Append(eventType)
				}
				columns = append(columns, types.NewArray())
			}
			if !yield(array.NewRecord(records.Schema(table.Columns), columns, batch.NumRows()), nil) {
				return
			}
		}
	}
}
