package transform

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"prospector/schemas"
	"prospector/schemas/records"
)

// builder makes rows from events, one after another, and batches from rows.
type builder struct {
	table   schemas.Table
	columns []schemas.Column // of the rows
	schema  *arrow.Schema

	protections []protection
	trees       map[string]*tree // by event type
	event       event
	extra       []byte // extra_json of the current event

	batch []*column

	// Columns whose values are not fields of the event.
	idAt, prospectAt, dayAt, extraAt int
	// An event must have a value for one of these columns. createdAt is -1 if the table has none.
	timeAt, createdAt int
	// The keys on each path to the event's type; nil if rows have no types.
	typePaths [][]string
}

func newBuilder(table schemas.Table, protected []protection) *builder {
	if table.HashKey.IsZero() && slices.ContainsFunc(protected, func(p protection) bool { return p.policy == schemas.Hash }) {
		panic("a table that hashes values was declared without a key")
	}
	columns := table.RowColumns()
	roles := table.Roles()
	byName := make([]int, len(columns))
	for i := range byName {
		byName[i] = i
	}
	slices.SortFunc(byName, func(a, b int) int { return strings.Compare(columns[a].Name, columns[b].Name) })
	b := &builder{
		table: table, columns: columns, schema: records.Schema(columns),
		protections: protected,
		trees:       make(map[string]*tree),
		event: event{
			columns: columns, byName: byName, taken: make([]taken, len(columns)),
			discard: table.UnknownField == schemas.Discard,
			key:     table.HashKey,
		},
		idAt:       schemas.IndexOf(columns, roles.ID),
		prospectAt: schemas.IndexOf(columns, roles.Entity),
		dayAt:      schemas.IndexOf(columns, roles.Day),
		extraAt:    slices.IndexFunc(columns, func(c schemas.Column) bool { return c.Value == schemas.Extra }),
		timeAt:     schemas.IndexOf(columns, roles.Time),
		createdAt:  schemas.IndexOf(columns, roles.Created),
	}
	if kind, ok := table.Column(roles.Type); ok {
		for _, path := range kind.From {
			b.typePaths = append(b.typePaths, strings.Split(path, "."))
		}
	}
	b.startBatch()
	return b
}

func (b *builder) startBatch() {
	b.batch = make([]*column, len(b.columns))
	b.event.batch = b.batch
	for i, c := range b.columns {
		b.batch[i] = newColumn(c)
	}
}

// rows counts the rows of the current batch. They may not have their IDs yet.
func (b *builder) rows() int { return b.batch[b.prospectAt].rows }

// record returns the current batch. It is valid until restart is called for its columns.
func (b *builder) record() arrow.Record {
	rows := b.rows()
	arrays := make([]arrow.Array, len(b.batch))
	for i, c := range b.batch {
		c.pad(rows)
		arrays[i] = c.array()
	}
	return array.NewRecord(b.schema, arrays, int64(rows))
}

var errNotObject = errors.New("a node that is not an object")

var errReservedKey = errors.New(`the event has a field named "` + fromKey + `", which extra_json needs for itself`)

// flat has the values that determine the ID and the partition of an event's row. The
// times are microseconds since 1970-01-01 UTC.
type flat struct {
	eventType []byte
	tree      *tree
	happened  int64 // the time, or if there is none, the creation time
	recorded  int64 // the creation time, or if there is none, the time
}

// flatten stores the values of an event in the columns. append then completes the row. An
// error says why the event cannot become a row, without any content of the event. With
// an *Unexpected, the result still has the tree.
func (b *builder) flatten(v value) (f flat, err error) {
	b.event.reset(b.rows())
	if f, err = b.split(v); err != nil {
		b.event.undo()
	}
	return f, err
}

// split splits an event into the values of the columns and extra_json.
func (b *builder) split(v value) (_ flat, err error) {
	if v.kind() != anObject {
		return flat{}, errNotObject
	}
	name, err := b.typeOf(v)
	if err != nil {
		return flat{}, err
	}
	e := &b.event
	t := b.tree(name)
	e.root = t.root
	if err := e.gather(e.root, v); err != nil {
		return flat{}, err
	}
	if e.root.has(fromKey) {
		return flat{}, errReservedKey
	}
	if unexpected := e.unexpected(&b.table, name); unexpected != nil {
		return flat{tree: t}, unexpected
	}
	happened, recorded := e.takenBy(b.timeAt), e.takenBy(b.createdAt)
	if happened == nil {
		happened = recorded
	}
	if recorded == nil {
		recorded = happened
	}
	if happened == nil {
		return flat{}, b.noTime()
	}
	b.extra, err = e.appendExtra(b.extra[:0])
	return flat{name, t, happened.int, recorded.int}, err
}

// typeOf returns the type of an event, or nil if rows have no types.
func (b *builder) typeOf(v value) ([]byte, error) {
	if b.typePaths == nil {
		return nil, nil
	}
	kind, found := v.first(b.typePaths)
	if !found || kind.kind() != aString {
		return nil, errors.New("an event without a type")
	}
	name := kind.string()
	if kind.isBroken() { // the column has the same text
		name = bytes.ToValidUTF8(name, replacement)
	}
	if len(name) == 0 || len(name) > schemas.MaxTypeLength {
		return nil, fmt.Errorf("a type of %d bytes; it is in a directory's name, so it has 1 to %d", len(name), schemas.MaxTypeLength)
	}
	return name, nil
}

// noTime is the error for an event without a usable time. It has the first path of the
// time, and that of the creation time if the table has one.
type noTime struct{ time, created string }

func (b *builder) noTime() noTime {
	err := noTime{time: b.columns[b.timeAt].From[0]}
	if b.createdAt >= 0 {
		err.created = b.columns[b.createdAt].From[0]
	}
	return err
}

func (e noTime) Error() string {
	if e.created == "" {
		return fmt.Sprintf("no usable time: %s is not a time", e.time)
	}
	return fmt.Sprintf("no usable time: neither %s nor %s is a time", e.time, e.created)
}

// tree returns the tree for events of a type. When there are too many types, a new type
// gets a tree that is used for one event only.
func (b *builder) tree(eventType []byte) *tree {
	if t, ok := b.trees[string(eventType)]; ok {
		return t
	}
	t := &tree{root: compile(b.columns, b.protections, string(eventType))}
	if len(b.trees) < maxTypes {
		t.kept = true
		b.trees[string(eventType)] = t
	}
	return t
}

// append completes the row of the event that was flattened last, except for its ID.
func (b *builder) append(prospect []byte, day int32) {
	if len(b.extra) > 0 {
		extra := b.batch[b.extraAt]
		extra.pad(b.event.row)
		extra.appendString(b.extra)
	}
	b.batch[b.dayAt].appendInt(int64(day))
	b.batch[b.prospectAt].appendString(prospect)
}

// cut removes the last row, which has no ID yet.
func (b *builder) cut() {
	last := b.rows() - 1
	for _, c := range b.batch {
		c.cut(last)
	}
}

// digest returns the digest of a row's content, without its ID.
func (b *builder) digest(row int) (sum schemas.Digest) {
	for i, c := range b.batch {
		if i != b.idAt {
			sum = sum.Add(c.digest(row))
		}
	}
	return sum.Seal()
}
