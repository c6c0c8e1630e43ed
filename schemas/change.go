package schemas

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// ChangeKind is the kind of a Change.
type ChangeKind string

// The kinds of change.
const (
	Added     ChangeKind = "added"
	Moved     ChangeKind = "moved"     // to another position
	Widened   ChangeKind = "widened"   // to a type that holds every value of the old one
	Retyped   ChangeKind = "retyped"   // to another type
	Resourced ChangeKind = "resourced" // other paths or event types
	Protected ChangeKind = "protected" // another policy or key
	Removed   ChangeKind = "removed"
	Fields    ChangeKind = "fields" // another handling of fields without a column
)

// Change is one difference between two versions of a table.
type Change struct {
	Column string     `json:"column,omitempty"` // "" for the table
	Kind   ChangeKind `json:"kind"`
	Before string     `json:"before,omitempty"` // in the schema language
	After  string     `json:"after,omitempty"`
}

// Safe reports whether every correct query stays correct after the change. Any other
// change is a replacement, which requires approval.
func (c Change) Safe() bool { return c.Kind == Added || c.Kind == Moved }

// Replaces returns the changes that are not safe.
func Replaces(changes []Change) (all []Change) {
	for _, c := range changes {
		if !c.Safe() {
			all = append(all, c)
		}
	}
	return all
}

// Diff lists the changes from one version of a table to another, in the order of the
// new columns, removed columns last. It ignores partition keys. The list is empty if,
// and only if, the fingerprints of the unpartitioned versions are the same.
func Diff(before, after Table) (changes []Change) {
	before, after = before.Unpartitioned(), after.Unpartitioned()

	last := -1 // the position of the preceding column
	for _, c := range after.Columns {
		i := IndexOf(before.Columns, c.Name)
		if i < 0 {
			changes = append(changes, Change{c.Name, Added, "", c.declaration()})
			if c.Policy != "" { // its values in extra_json become protected
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
		if IndexOf(after.Columns, c.Name) < 0 {
			changes = append(changes, Change{c.Name, Removed, c.declaration(), ""})
		}
	}
	if fields := (Change{Kind: Fields, Before: string(before.fields()), After: string(after.fields())}); fields.Before != fields.After {
		changes = append(changes, fields)
	}
	return changes
}

// Provenance describes the source of a column's values: paths, event types and the
// format of times, or the derivation.
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

// listed joins words with commas, and quotes ambiguous words.
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

// unprotected describes a column without a policy.
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

// String describes the change briefly, without the column's name.
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

// Loses describes what published rows lose by the change, or returns "". The loss is
// permanent for events that the source no longer returns.
func (c Change) Loses() string {
	switch {
	case c.Kind == Fields && c.After == string(Discard):
		return "the fields that have no column"
	case c.Kind == Protected && c.Before != unprotected && c.After != string(Redact) && c.After != string(Drop):
		return c.Column // its unprotected values are unknown
	}
	return ""
}

// ListChanges lists changes for a diagnostic, one per indented line.
func ListChanges(changes []Change) string {
	lines := make([]string, len(changes))
	for i, c := range changes {
		lines[i] = fmt.Sprintf("  %s: %s", cmp.Or(c.Column, "the table"), c)
	}
	return strings.Join(lines, "\n")
}
