package transform

import (
	"fmt"

	"prospector/schemas"
)

// What an event can have that its table does not expect, in the words of the
// schema language.
const (
	UnknownType  = "unknown_type"
	UnknownField = "unknown_field"
	Mismatch     = "mismatch"
)

// Unexpected is what an event has and its table does not expect, where the table
// says that such an event is no row. It has none of the event's content.
type Unexpected struct {
	What      string // UnknownType, UnknownField or Mismatch
	EventType string
	Path      string // of the value, as in schemas.Column.From; "" of an UnknownType
	Kind      string // of the value, as in schemas.Field; "" of an UnknownType
	Column    string // of a Mismatch: which column takes the value
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

// misfit is a value that is not of the type of its place's column.
type misfit struct {
	at    *node
	kind  kind
	times schemas.TimeForms
}

// kind is what stands at a place of an event.
type kind uint8

const (
	noKind kind = iota // a null
	aString
	anInteger
	aNumber
	aBool
	anObject
	anArray
	notUnicode // a text, or a value with one in it; only of a misfit
	kinds
)

// String is the kind as in schemas.Field.
func (k kind) String() string {
	return [kinds]string{
		"", schemas.KindString, schemas.KindInteger, schemas.KindNumber, schemas.KindBool, schemas.KindObject, schemas.KindArray, schemas.KindNotUnicode,
	}[k]
}

// kindOf tells integers from other numbers, too.
func kindOf(v value) kind {
	kind := v.kind()
	if kind == aNumber && isInteger(v.raw()) {
		return anInteger
	}
	return kind
}

// unexpected gives what keeps the event at hand from becoming a row of the
// table, or nil.
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

// where gives the field's path and kind; noKind of a null, as there is nothing to
// take. Where the key is no name and might be data, it is the object that has it.
func (u unknown) where() (path string, kind kind) {
	kind = kindOf(u.field.value)
	if kind != noKind && !schemas.FieldName.Match(u.field.key) {
		return u.in.name(), anObject
	}
	return join(u.in.path, string(u.field.key)), kind
}

// name is the path of a place, or the words for the event itself.
func (n *node) name() string {
	if n.path == "" {
		return "the event"
	}
	return n.path
}
