package transform

import (
	"fmt"

	"prospector/schemas"
)

// The kinds of differences between an event and its schema, named as in the schema
// language.
const (
	UnknownType  = "unknown_type"
	UnknownField = "unknown_field"
	Mismatch     = "mismatch"
)

// Unexpected is a difference between an event and its schema that prevents the event from
// becoming a row. It has no content of the event.
type Unexpected struct {
	What      string // UnknownType, UnknownField or Mismatch
	EventType string
	Path      string // of the value, as in schemas.Column.From; "" for an UnknownType
	Kind      string // of the value, as in schemas.Field; "" for an UnknownType
	Column    string // for a Mismatch: the column that takes the value
	Type      schemas.Type

	handling schemas.Handling
}

func (u *Unexpected) Error() string {
	switch u.What {
	case UnknownType:
		return "a type that the table does not know"
	case UnknownField:
		return fmt.Sprintf("%s is %s, and no column takes it", u.Path, schemas.DescribeKind(u.Kind))
	}
	return fmt.Sprintf("%s is %s, and the column %s is %s", u.Path, schemas.DescribeKind(u.Kind), u.Column, u.Type)
}

// misfit is a value that does not have the type of its column.
type misfit struct {
	at    *node
	kind  kind
	times schemas.TimeForms
}

// kind is the kind of a value in an event.
type kind uint8

const (
	noKind kind = iota // a null
	aString
	anInteger
	aNumber
	aBool
	anObject
	anArray
	notUnicode // a value with text that is not Unicode; only for a misfit
	kinds
)

// String returns the kind as in schemas.Field.
func (k kind) String() string {
	return [kinds]string{
		"", schemas.KindString, schemas.KindInteger, schemas.KindNumber, schemas.KindBool, schemas.KindObject, schemas.KindArray, schemas.KindNotUnicode,
	}[k]
}

// kindOf returns the kind of a value, and distinguishes integers from other numbers.
func kindOf(v value) kind {
	kind := v.kind()
	if kind == aNumber && isInteger(v.raw()) {
		return anInteger
	}
	return kind
}

// unexpected returns why the current event cannot become a row of the table, or nil.
func (e *event) unexpected(t *schemas.Table, eventType []byte) *Unexpected {
	if refuses(t.UnknownType) && !t.Knows(string(eventType)) {
		return &Unexpected{What: UnknownType, EventType: string(eventType), handling: t.UnknownType}
	}
	if refuses(t.Mismatch) && len(e.misfits) > 0 {
		m := e.misfits[0]
		c := e.columns[m.at.column]
		return &Unexpected{Mismatch, string(eventType), m.at.path, m.kind.String(), c.Name, c.Type, t.Mismatch}
	}
	if t.UnknownField == schemas.Fail {
		for _, u := range e.unknown {
			if path, kind := u.where(); kind != noKind {
				return &Unexpected{What: UnknownField, EventType: string(eventType), Path: path, Kind: kind.String(), handling: schemas.Fail}
			}
		}
	}
	return nil
}

func refuses(h schemas.Handling) bool { return h == schemas.Quarantine || h == schemas.Fail }

// where returns the path and the kind of the field, which is noKind for a null. If the key
// is not a name and may be data, where returns the object that has the field.
func (u unknown) where() (path string, kind kind) {
	kind = kindOf(u.field.value)
	if kind != noKind && !schemas.FieldName.Match(u.field.key) {
		return u.in.name(), anObject
	}
	return join(u.in.path, string(u.field.key)), kind
}

// name returns the path of a place, or words for the event itself.
func (n *node) name() string {
	if n.path == "" {
		return "the event"
	}
	return n.path
}
