package schemas

import (
	"cmp"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"
)

// Field is a place in events of one type, and what kind of JSON stands there.
type Field struct {
	EventType string `json:"event_type"`
	Path      string `json:"path"` // as in Column.From
	// Kind is string, number, bool, object or array; a null is of none. A number
	// is an integer when it is written so and fits in 64 bits. Of Survey.Mismatched,
	// it is not_unicode if the column has all but bytes that are not Unicode.
	Kind string `json:"kind"`
}

// The kinds of a Field.
const (
	KindString  = "string"
	KindInteger = "integer"
	KindNumber  = "number"
	KindBool    = "bool"
	KindObject  = "object"
	KindArray   = "array"

	KindNotUnicode = "not_unicode"
)

// DescribeKind returns a kind with its article, for messages.
func DescribeKind(kind string) string {
	switch kind {
	case KindInteger, KindObject, KindArray:
		return "an " + kind
	case KindNotUnicode:
		return "text that is not Unicode"
	}
	return "a " + kind
}

// Survey counts what the events of a run were beyond what their table expects.
type Survey struct {
	// EventTypes counts events by type.
	EventTypes map[string]int64
	// Unmapped counts the events that have a field that no column takes.
	Unmapped map[Field]int64
	// Mismatched counts the events whose value, at a path of a column, is not
	// of the column's type.
	Mismatched map[Field]int64
	// Times says how the values of those fields are times: all of them, of each
	// field. Others are absent.
	Times map[Field]TimeForms
	// Further counts fields that are not among Unmapped, since there are too
	// many or their names are no names.
	Further int64
}

// NewSurvey is an empty one.
func NewSurvey() Survey {
	return Survey{make(map[string]int64), make(map[Field]int64), make(map[Field]int64), make(map[Field]TimeForms), 0}
}

// Add adds another survey's counts.
func (s *Survey) Add(o Survey) {
	s.addTimes(o)
	for k, n := range o.EventTypes {
		s.EventTypes[k] += n
	}
	for k, n := range o.Unmapped {
		s.Unmapped[k] += n
	}
	for k, n := range o.Mismatched {
		s.Mismatched[k] += n
	}
	s.Further += o.Further
}

// addTimes keeps of each field the forms that its values have in both surveys. It
// is called before the counts are added.
func (s *Survey) addTimes(o Survey) {
	for _, fields := range []map[Field]int64{o.Unmapped, o.Mismatched} {
		for f := range fields {
			times := o.Times[f]
			if s.Unmapped[f]+s.Mismatched[f] > 0 {
				times &= s.Times[f]
			}
			if delete(s.Times, f); times != 0 {
				s.Times[f] = times
			}
		}
	}
}

// FieldCount is one count of a survey.
type FieldCount struct {
	Field
	Events int64 `json:"events"`
	// Time is the one way in which all of the values are times, or "":
	// TimeForms.String.
	Time string `json:"time,omitempty"`
}

// Counts lists the fields of a survey, which are its Unmapped or its Mismatched,
// as the function Counts does, with their times.
func (s Survey) Counts(fields map[Field]int64) []FieldCount {
	counts := Counts(fields)
	for i := range counts {
		counts[i].Time = s.Times[counts[i].Field].String()
	}
	return counts
}

// Counts lists counted fields, ascending by event type, path and kind.
func Counts(fields map[Field]int64) []FieldCount {
	all := make([]FieldCount, 0, len(fields))
	for f, n := range fields {
		all = append(all, FieldCount{Field: f, Events: n})
	}
	slices.SortFunc(all, func(a, b FieldCount) int {
		return cmp.Or(cmp.Compare(a.EventType, b.EventType), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Kind, b.Kind))
	})
	return all
}

// surveyJSON is the form of a Survey in JSON.
type surveyJSON struct {
	EventTypes map[string]int64 `json:"event_types"`
	Unmapped   []FieldCount     `json:"unmapped,omitempty"`
	Mismatched []FieldCount     `json:"mismatched,omitempty"`
	Further    int64            `json:"further,omitempty"`
}

// MarshalJSON writes the counts in order.
func (s Survey) MarshalJSON() ([]byte, error) {
	return json.Marshal(surveyJSON{s.EventTypes, s.Counts(s.Unmapped), s.Counts(s.Mismatched), s.Further})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (s *Survey) UnmarshalJSON(text []byte) error {
	var form surveyJSON
	if err := json.Unmarshal(text, &form); err != nil {
		return err
	}
	*s = NewSurvey()
	maps.Copy(s.EventTypes, form.EventTypes)
	for _, c := range form.Unmapped {
		s.Unmapped[c.Field] += c.Events
	}
	for _, c := range form.Mismatched {
		s.Mismatched[c.Field] += c.Events
	}
	for _, c := range slices.Concat(form.Unmapped, form.Mismatched) {
		if times := parseTimeForms(c.Time); times != 0 {
			s.Times[c.Field] = times
		}
	}
	s.Further = form.Further
	return nil
}

// Bounds of what is remembered of what a table does not expect.
const (
	maxKeys   = 50    // of one object; one with more has data for keys
	maxFields = 2_000 // of all event types, and event types
)

// Bound folds objects that have too many keys to be names into one field each,
// and drops the rarest of too many fields and event types.
func (s *Survey) Bound() {
	keys := make(map[Field]map[string]bool) // of each object
	for f := range s.Unmapped {
		for object, key := range f.above() {
			if keys[object] == nil {
				keys[object] = make(map[string]bool)
			}
			keys[object][key] = true
		}
	}
	for _, c := range Counts(s.Unmapped) {
		for object := range c.above() {
			if len(keys[object]) > maxKeys {
				delete(s.Unmapped, c.Field)
				s.Unmapped[object] = max(s.Unmapped[object], c.Events)
				break
			}
		}
	}
	types := slices.SortedFunc(maps.Keys(s.EventTypes), func(a, b string) int {
		return cmp.Or(cmp.Compare(s.EventTypes[b], s.EventTypes[a]), cmp.Compare(a, b))
	})
	for _, t := range types[min(len(types), maxFields):] {
		delete(s.EventTypes, t)
	}
	for _, fields := range []map[Field]int64{s.Unmapped, s.Mismatched} {
		counts := Counts(fields)
		slices.SortStableFunc(counts, func(a, b FieldCount) int { return cmp.Compare(b.Events, a.Events) })
		for _, c := range counts[min(len(counts), maxFields):] {
			delete(fields, c.Field)
			s.Further++
		}
	}
}

// above gives the objects that the field is in, outermost first, and its key or
// that of the next object in each.
func (f Field) above() iter.Seq2[Field, string] {
	return func(yield func(Field, string) bool) {
		for i, c := range f.Path {
			if c != '.' {
				continue
			}
			key, _, _ := strings.Cut(f.Path[i+1:], ".")
			if !yield(Field{f.EventType, f.Path[:i], KindObject}, key) {
				return
			}
		}
	}
}

// FieldName is what a key of an object must be to be told of by its name: others
// may be data rather than names, such as addresses.
var FieldName = regexp.MustCompile(`^[A-Za-z_$][A-Za-z0-9_$-]{0,63}$`)

// Proposal is a column that fields could have.
type Proposal struct {
	Column Column
	Events int64 // that it would fill
}

// Infer proposes columns for the fields that a survey has found and that have none
// in the table, most filled first. The table can be declared with all of them: what could not is left out,
// such as fields that a column has begun to take since they were counted.
func Infer(t Table, found Survey) []Proposal {
	type place struct {
		kinds, types map[string]bool
		times        TimeForms
		events       int64
	}
	fields := found.Unmapped
	places := make(map[string]*place)
	for f, n := range fields {
		if f.EventType == "" || strings.Contains(f.EventType, "*") { // which a column cannot name
			continue
		}
		p := places[f.Path]
		if p == nil {
			p = &place{kinds: make(map[string]bool), types: make(map[string]bool), times: AnyTime}
			places[f.Path] = p
		}
		p.kinds[f.Kind], p.types[f.EventType] = true, true
		p.times &= found.Times[f]
		p.events += n
	}
	paths := slices.Sorted(maps.Keys(places))
	for _, path := range paths {
		// What is inside of an object has columns of its own, and no value is in two.
		for outer := range places {
			if strings.HasPrefix(path, outer+".") {
				delete(places[outer].kinds, KindObject)
				delete(places[outer].kinds, KindArray)
			}
		}
	}
	slices.SortStableFunc(paths, func(a, b string) int { return cmp.Compare(places[b].events, places[a].events) })
	var all []Proposal
	for _, path := range paths {
		p := places[path]
		c := Column{Name: t.columnNameFor(path), Type: typeFor(p.kinds), From: []string{path}, When: slices.Sorted(maps.Keys(p.types))}
		if of, format, ok := p.times.column(); ok {
			c.Type, c.Time = of, format
		}
		if declared, err := t.Declare(c); err == nil && len(p.kinds) > 0 {
			t = declared
			all = append(all, Proposal{c, p.events})
		}
	}
	return all
}

// typeFor is the narrowest type that holds values of all those kinds.
func typeFor(kinds map[string]bool) Type {
	only := func(allowed ...string) bool {
		for k := range kinds {
			if !slices.Contains(allowed, k) {
				return false
			}
		}
		return true
	}
	switch {
	case only(KindInteger):
		return Int64
	case only(KindInteger, KindNumber):
		return Float64
	case only(KindBool):
		return Bool
	case only(KindString, KindInteger, KindNumber, KindBool):
		return String
	}
	return JSON
}

var (
	capitalAfterSmall = regexp.MustCompile(`([a-z0-9])([A-Z])`)
	notInNames        = regexp.MustCompile(`[^a-z0-9]+`)
)

// longestProposed leaves room, of the 300 characters that a name may have, for
// what tells it from others.
const longestProposed = 200

// columnNameFor makes a name that the table has not of a path: data.page.pathName
// becomes page_path_name.
func (t Table) columnNameFor(path string) string {
	taken := func(name string) bool {
		return slices.ContainsFunc(t.All(), func(c Column) bool { return sameName(c.Name, name) }) ||
			t.Roles().checkColumn(Column{Name: name, Type: String, From: []string{"x"}}) != nil
	}
	name := capitalAfterSmall.ReplaceAllString(strings.TrimPrefix(path, "data."), "${1}_$2")
	name = strings.Trim(notInNames.ReplaceAllString(strings.ToLower(name), "_"), "_")
	name = name[:min(len(name), longestProposed)]
	if taken(name) {
		name = strings.TrimSuffix("field_"+name, "_")
	}
	for base, n := name, 2; taken(name); n++ {
		name = fmt.Sprintf("%s_%d", base, n)
	}
	return name
}

// Source is the proposal in the schema language, with a comment that says how
// many events it would fill.
func (p Proposal) Source() []byte {
	f := hclwrite.NewEmptyFile()
	p.Column.write(f.Body(), "", true)
	return append(fmt.Appendf(nil, "# events: %d\n", p.Events), hclwrite.Format(f.Bytes())...)
}

// InferTime proposes how the times of a field are written that its column does not
// read as times. It returns the column's block, or nil where it is not certain.
func (t Table) InferTime(of FieldCount) []byte {
	c, ok := t.Taking(of.Path, of.EventType)
	kind, format, isTime := parseTimeForms(of.Time).column()
	if !ok || !isTime || kind != Timestamp || format == "" || c.Type != Timestamp && c.Type != Date || c.Time == format {
		return nil
	}
	f := hclwrite.NewEmptyFile()
	f.Body().AppendNewBlock("column", []string{c.Name}).Body().SetAttributeValue("time", cty.StringVal(format))
	return hclwrite.Format(f.Bytes())
}
