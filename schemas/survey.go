package schemas

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2/hclwrite"
)

// Field is a place in events of one type, and what kind of JSON stands there.
type Field struct {
	EventType string `json:"event_type"`
	Path      string `json:"path"` // as in Column.From
	// Kind is string, number, bool, object or array; a null is of none. A number
	// is an integer when it is written so and fits in 64 bits.
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
)

// Survey counts what the events of a run were beyond what their table expects.
type Survey struct {
	// EventTypes counts events by type.
	EventTypes map[string]int64
	// Unmapped counts the events that have a field that no column takes.
	Unmapped map[Field]int64
	// Mismatched counts the events whose value, at a path of a column, is not
	// of the column's type.
	Mismatched map[Field]int64
	// Further counts fields that are not among Unmapped, since there are too
	// many or their names are no names.
	Further int64
}

// NewSurvey is an empty one.
func NewSurvey() Survey {
	return Survey{make(map[string]int64), make(map[Field]int64), make(map[Field]int64), 0}
}

// Add adds another survey's counts.
func (s *Survey) Add(o Survey) {
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

// FieldCount is one count of a survey.
type FieldCount struct {
	Field
	Events int64 `json:"events"`
}

// Counts lists counted fields, ascending by event type, path and kind.
func Counts(fields map[Field]int64) []FieldCount {
	all := make([]FieldCount, 0, len(fields))
	for f, n := range fields {
		all = append(all, FieldCount{f, n})
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
	return json.Marshal(surveyJSON{s.EventTypes, Counts(s.Unmapped), Counts(s.Mismatched), s.Further})
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
	s.Further = form.Further
	return nil
}

// FieldName is what a key of an object must be to be told of by its name: others
// may be data rather than names, such as addresses.
var FieldName = regexp.MustCompile(`^[A-Za-z_$][A-Za-z0-9_$-]{0,63}$`)

// Proposal is a column that fields could have.
type Proposal struct {
	Column Column
	Events int64 // that it would fill
}

// Infer proposes a column for every path of the fields, most filled first, for a
// table that has none for them.
func Infer(t Table, fields map[Field]int64) []Proposal {
	type place struct {
		kinds  map[string]bool
		types  map[string]bool
		events int64
	}
	places := make(map[string]*place)
	for f, n := range fields {
		p := places[f.Path]
		if p == nil {
			p = &place{kinds: make(map[string]bool), types: make(map[string]bool)}
			places[f.Path] = p
		}
		p.kinds[f.Kind], p.types[f.EventType] = true, true
		p.events += n
	}
	var all []Proposal
	taken := make(map[string]bool)
	for _, c := range t.All() {
		taken[strings.ToLower(c.Name)] = true
	}
	for _, path := range slices.Sorted(maps.Keys(places)) {
		p := places[path]
		c := Column{Name: columnNameFor(path, taken), Type: typeFor(p.kinds), From: []string{path}, When: slices.Sorted(maps.Keys(p.types))}
		taken[strings.ToLower(c.Name)] = true
		all = append(all, Proposal{c, p.events})
	}
	slices.SortStableFunc(all, func(a, b Proposal) int { return cmp.Compare(b.Events, a.Events) })
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

var capitalAfterSmall = regexp.MustCompile(`([a-z0-9])([A-Z])`)

// columnNameFor makes a column's name of a path: data.page.pathName becomes
// page_path_name.
func columnNameFor(path string, taken map[string]bool) string {
	name := strings.TrimPrefix(path, "data.")
	name = capitalAfterSmall.ReplaceAllString(name, "${1}_$2")
	name = strings.Trim(regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(name), "_"), "_")
	for base, n := name, 2; taken[name] || (Column{Name: name, Type: String, From: []string{path}}).check() != nil; n++ {
		if n == 2 && !taken["field_"+base] {
			name = strings.TrimSuffix("field_"+base, "_")
			continue
		}
		name = fmt.Sprintf("field_%s_%d", strings.Trim(base, "_"), n)
	}
	return name
}

// Source is the proposal in the schema language, with a comment that says how
// many events it would fill.
func (p Proposal) Source() []byte {
	f := hclwrite.NewEmptyFile()
	p.Column.write(f.Body(), true)
	return append(fmt.Appendf(nil, "# %d events\n", p.Events), hclwrite.Format(f.Bytes())...)
}
