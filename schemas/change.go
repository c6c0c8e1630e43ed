package schemas

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// ChangeKind is what a Change is.
type ChangeKind string

// The kinds of change.
const (
	Added     ChangeKind = "added"
	Moved     ChangeKind = "moved"     // to another place among the columns
	Widened   ChangeKind = "widened"   // to a type that holds every value of the old one
	Retyped   ChangeKind = "retyped"   // to another type
	Resourced ChangeKind = "resourced" // other paths or event types
	Protected ChangeKind = "protected" // another policy or key
	Removed   ChangeKind = "removed"
	Fields    ChangeKind = "fields" // what is done with fields that have no column
)

// Change is one way in which a table differs from what it was.
type Change struct {
	Column string     `json:"column,omitempty"` // "" for the table
	Kind   ChangeKind `json:"kind"`
	Before string     `json:"before,omitempty"` // in words of the schema language
	After  string     `json:"after,omitempty"`
}

// Safe reports whether a query that was right before the change is right after
// it. Any other change is a replacement, and asks for consent.
func (c Change) Safe() bool { return c.Kind == Added || c.Kind == Moved }

// Replaces are those of the changes that are not safe.
func Replaces(changes []Change) (all []Change) {
	for _, c := range changes {
		if !c.Safe() {
			all = append(all, c)
		}
	}
	return all
}

// Diff lists how a table differs from what it was, in the order of its columns,
// those that are gone last. How it is partitioned does not count. There is none
// if, and only if, the fingerprints of both, unpartitioned, are the same.
func Diff(before, after Table) (changes []Change) {
	before, after = before.Unpartitioned(), after.Unpartitioned()
	at := func(t Table, name string) int {
		return slices.IndexFunc(t.Columns, func(c Column) bool { return c.Name == name })
	}
	last := -1 // where the column before stood
	for _, c := range after.Columns {
		i := at(before, c.Name)
		if i < 0 {
			changes = append(changes, Change{c.Name, Added, "", c.declaration()})
			if c.Policy != "" { // what extra_json has of it is protected from now on
				changes = append(changes, Change{c.Name, Protected, unprotected, after.protection(c)})
			}
			continue
		}
		was := before.Columns[i]
		if was.Type != c.Type {
			kind := Retyped
			if c.Type.holds(was.Type) {
				kind = Widened
			}
			changes = append(changes, Change{c.Name, kind, string(was.Type), string(c.Type)})
		}
		if was.Value != c.Value || !slices.Equal(was.From, c.From) || !slices.Equal(was.When, c.When) || was.Time != c.Time {
			changes = append(changes, Change{c.Name, Resourced, was.Provenance(), c.Provenance()})
		}
		if was.Policy != c.Policy || c.Policy == Hash && before.HashKeyID != after.HashKeyID {
			changes = append(changes, Change{c.Name, Protected, before.protection(was), after.protection(c)})
		}
		if i < last {
			changes = append(changes, Change{Column: c.Name, Kind: Moved})
		}
		last = max(last, i)
	}
	for _, c := range before.Columns {
		if at(after, c.Name) < 0 {
			changes = append(changes, Change{c.Name, Removed, c.declaration(), ""})
		}
	}
	if fields := (Change{Kind: Fields, Before: string(before.fields()), After: string(after.fields())}); fields.Before != fields.After {
		changes = append(changes, fields)
	}
	return changes
}

// holds reports whether the type has a value for every value of a narrower one.
// Of int64, float64 has all but the largest; those are kept in extra_json.
func (t Type) holds(narrower Type) bool {
	switch t {
	case Float64:
		return narrower == Int64
	case String:
		return narrower == Int64 || narrower == Float64
	}
	return false
}

// Provenance says in a few words where a column's values come from: paths, event
// types and the form of times, or what they are derived from.
func (c Column) Provenance() string {
	if c.Value != "" {
		return string(c.Value)
	}
	s := listed(c.From)
	if len(c.When) > 0 {
		s += " of " + listed(c.When)
	}
	if c.Time != "" {
		s += " as " + listed([]string{c.Time})
	}
	return s
}

var plain = regexp.MustCompile(`^[A-Za-z0-9_.$*-]+$`)

// listed joins words by commas, and quotes those that could be taken for more
// than one.
func listed(words []string) string {
	shown := make([]string, len(words))
	for i, w := range words {
		shown[i] = w
		if !plain.MatchString(w) {
			shown[i] = strconv.Quote(w)
		}
	}
	return strings.Join(shown, ", ")
}

func (c Column) declaration() string { return fmt.Sprintf("%s from %s", c.Type, c.Provenance()) }

// unprotected is how a column without a policy reads.
const unprotected = "none"

func (t Table) protection(c Column) string {
	switch c.Policy {
	case "":
		return unprotected
	case Hash:
		return fmt.Sprintf("hash, key %s", t.HashKeyID)
	}
	return string(c.Policy)
}

func (t Table) fields() Handling {
	if t.UnknownField == Discard {
		return Discard
	}
	return Keep
}

// String is the change in a few words, the column's name aside.
func (c Change) String() string {
	switch c.Kind {
	case Added:
		return c.After
	case Moved:
		return "moved among the columns"
	case Removed:
		return c.Before + ": removed"
	case Fields:
		return fmt.Sprintf("fields without a column: %s -> %s", c.Before, c.After)
	case Protected:
		return fmt.Sprintf("policy %s -> %s", c.Before, c.After)
	}
	return c.Before + " -> " + c.After
}

// Loses says what is lost of published rows by the change, for good where the
// source does not return their events any more; or "".
func (c Change) Loses() string {
	switch {
	case c.Kind == Fields && c.After == string(Discard):
		return "the fields that have no column"
	case c.Kind == Protected && c.Before != unprotected && c.After != string(Redact) && c.After != string(Drop):
		return c.Column // what it was before it was protected is not known
	}
	return ""
}

// ListChanges writes changes for a diagnostic, an indented line each.
func ListChanges(changes []Change) string {
	lines := make([]string, len(changes))
	for i, c := range changes {
		lines[i] = fmt.Sprintf("  %s: %s", cmp.Or(c.Column, "the table"), c)
	}
	return strings.Join(lines, "\n")
}
