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

// Field is a path in events of one type, and the kind of JSON value there.
type Field struct {
	EventType string `json:"event_type"`
	Path      string `json:"path"` // as in Column.From
	// Kind is one of the kinds below; a null has no kind. A number is an integer if
	// it is written as one and fits in 64 bits. In Survey.Mismatched, not_unicode
	// means that the column has the text without the bytes that are not Unicode.
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

// Survey counts the events of a run that differ from what their table expects.
type Survey struct {
	// EventTypes counts events by type.
	EventTypes map[string]int64
	// Unmapped counts the events with a field that no column takes.
	Unmapped map[Field]int64
	// Mismatched counts the events whose value at a path of a column does not have
	// the column's type.
	Mismatched map[Field]int64
	// Times has the formats that all values of a field share. Fields without such a
	// format are absent.
	Times map[Field]TimeForms
	// Further counts the fields that Unmapped leaves out, because there are too many
	// or because their keys are data rather than names.
	Further int64
}

// NewSurvey returns an empty Survey.
func NewSurvey() Survey {
	return Survey{make(map[string]int64), make(map[Field]int64), make(map[Field]int64), make(map[Field]TimeForms), 0}
}

// Add adds the counts of another survey.
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

// addTimes keeps the formats that the values of a field have in both surveys. Call it
// before adding the counts.
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
	// Time is the time format of all values, as TimeForms.String returns it; "" if
	// they do not share exactly one.
	Time string `json:"time,omitempty"`
}

// Counts lists the Unmapped or the Mismatched fields of the survey, with their times,
// in the order of the function Counts.
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

// surveyJSON is the JSON format of a Survey.
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

// UnmarshalJSON parses the result of MarshalJSON.
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

// The limits of a survey.
const (
	maxKeys   = 50    // of one object; the keys of an object with more are data
	maxFields = 2_000 // of all event types together; also the maximum number of event types
)

// Bound replaces the fields of an object with too many keys by one field, and drops
// the rarest fields and event types if there are too many.
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

// above returns the objects that contain the field, outermost first, with the key in
// each that leads to the field.
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

// FieldName matches the keys that are shown by name. Other keys may be data, such as
// addresses.
var FieldName = regexp.MustCompile(`^[A-Za-z_$][A-Za-z0-9_$-]{0,63}$`)

// Proposal is a column that could take fields.
type Proposal struct {
	Column Column
	Events int64 // events with a value for the column
}

// Infer proposes columns for the unmapped fields of a survey, in descending order of
// events. The table can be declared with all of them. Infer omits a field if that is
// impossible, for example because a column has been added for it since the survey.
func Infer(t Table, found Survey) []Proposal {
	type place struct {
		kinds, types map[string]bool
		times        TimeForms
		events       int64
	}
	hasTypes := t.Roles().Type != ""
	fields := found.Unmapped
	places := make(map[string]*place)
	for f, n := range fields {
		if hasTypes && (f.EventType == "" || strings.Contains(f.EventType, "*")) { // a column cannot name this type
			continue
		}
		p := places[f.Path]
		if p == nil {
			p = &place{kinds: make(map[string]bool), types: make(map[string]bool), times: AnyTime}
			places[f.Path] = p
		}
		p.kinds[f.Kind] = true
		if hasTypes {
			p.types[f.EventType] = true
		}
		p.times &= found.Times[f]
		p.events += n
	}
	paths := slices.Sorted(maps.Keys(places))
	for _, path := range paths {
		// The fields of an object get columns of their own, and no value gets two columns.
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

// typeFor returns the narrowest type for values of all these kinds.
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

// longestProposed leaves room for a suffix within the 300 characters of a name.
const longestProposed = 200

// columnNameFor derives an unused name from a path: data.page.pathName becomes
// page_path_name.
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

// Source returns the proposal in the schema language, with the number of events in a
// comment.
func (p Proposal) Source() []byte {
	f := hclwrite.NewEmptyFile()
	p.Column.write(f.Body(), "", true)
	return append(fmt.Appendf(nil, "# events: %d\n", p.Events), hclwrite.Format(f.Bytes())...)
}

// InferTime proposes a time format for a field whose values its column cannot parse. It
// returns the column's block, or nil if the format is not certain.
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
