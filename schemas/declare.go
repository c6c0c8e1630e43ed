package schemas

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// DeclarationError is the error for an invalid column or table declaration.
type DeclarationError struct {
	Column    string // the column's name; "" if the table is invalid
	Attribute string // of the column or the table; "" if it is no single attribute
	Problem   string // a clause
}

func (e *DeclarationError) Error() string {
	if e.Column == "" {
		return e.Problem
	}
	return fmt.Sprintf("column %q: %s", e.Column, e.Problem)
}

// Declare returns the table with more columns, which replace columns with the same
// name. The error is a *DeclarationError.
func (t Table) Declare(columns ...Column) (Table, error) {
	out := t
	out.Columns = slices.Clone(t.Columns)
	for i, c := range columns {
		if (c.Value != "" || t.Roles().IsCore(c.Name)) && !t.differsInTime(c) {
			return Table{}, &DeclarationError{c.Name, "", "every table has this column, and identity and merging depend on it; a declaration can only set the attribute time of " + t.Roles().times()}
		}
		if err := t.Roles().checkColumn(c); err != nil {
			return Table{}, err
		}
		if slices.ContainsFunc(columns[:i], func(o Column) bool { return sameName(o.Name, c.Name) }) {
			return Table{}, &DeclarationError{c.Name, "", "it is declared twice; readers ignore the case of names"}
		}
		same := func(o Column) bool { return sameName(o.Name, c.Name) }
		switch at := slices.IndexFunc(out.Columns, same); {
		case at < 0:
			out.Columns = slices.Insert(out.Columns, len(out.Columns)-1, c)
		case out.Columns[at].Name != c.Name:
			return Table{}, &DeclarationError{c.Name, "", fmt.Sprintf("the table already has a column %s, and readers ignore the case of names", out.Columns[at].Name)}
		default:
			out.Columns[at] = c
		}
	}
	if err := out.checkPaths(columns); err != nil {
		return Table{}, err
	}
	if err := out.checkSpellings(columns); err != nil {
		return Table{}, err
	}
	if problem := checkPatterns(out.EventTypes); problem != "" {
		return Table{}, &DeclarationError{"", "event_types", problem}
	}
	out.HashKeyID = ""
	if out.hashes() {
		if len(t.HashKey.secret) < MinKeyLength {
			return Table{}, &DeclarationError{"", "hash_key", fmt.Sprintf(`columns with policy = "hash" need a hash_key of at least %d bytes`, MinKeyLength)}
		}
		out.HashKeyID = t.HashKey.ID()
	}
	return out, nil
}

// differsInTime reports whether a column equals one of the table's timestamp columns,
// except for the format of times.
func (t Table) differsInTime(c Column) bool {
	was, ok := t.Column(c.Name)
	was.Time = c.Time
	return ok && c.Type == Timestamp && reflect.DeepEqual(was, c)
}

// times lists the columns with a role whose time format can be declared.
func (r Roles) times() string {
	if r.Created == "" {
		return r.Time
	}
	return r.Time + " and " + r.Created
}

// The names of columns that BigQuery accepts: docs/lake-contract.md, "BigQuery external
// tables over Parquet on Cloud Storage".
var columnName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,299}$`)

var reservedPrefixes = []string{
	"_TABLE_", "_FILE_", "_PARTITION", "_ROW_TIMESTAMP", "__ROOT__", "_COLIDENTIFIER",
	"_CHANGE_SEQUENCE_NUMBER", "_CHANGE_TYPE", "_CHANGE_TIMESTAMP",
}

// checkColumn checks a column of a table with these roles.
func (r Roles) checkColumn(c Column) error {
	if _, derived := r.derivedKey(strings.ToLower(c.Name)); derived {
		return &DeclarationError{c.Name, "", "this is the name of a partition key"}
	}
	return c.check()
}

func (c Column) check() error {
	for _, check := range []func(Column) error{Column.checkName, Column.checkSource, Column.checkTime, Column.checkPolicy} {
		if err := check(c); err != nil {
			return err
		}
	}
	return nil
}

// wrong returns an error about an attribute of the column. The attribute is "" if the
// error is not about a single one.
func (c Column) wrong(attribute, format string, args ...any) error {
	return &DeclarationError{c.Name, attribute, fmt.Sprintf(format, args...)}
}

func (c Column) checkName() error {
	if !columnName.MatchString(c.Name) {
		return c.wrong("", "a column's name has only letters, digits and underscores, at most 300, and does not begin with a digit")
	}
	for _, prefix := range reservedPrefixes {
		if strings.HasPrefix(strings.ToUpper(c.Name), prefix) {
			return c.wrong("", "BigQuery reserves names that begin with %s", prefix)
		}
	}
	return nil
}

// checkSource checks the column's type and the source of its values.
func (c Column) checkSource() error {
	if !slices.Contains(Types(), c.Type) {
		return c.wrong("type", "there is no type %q; the types are %s", c.Type, list(Types()))
	}
	if !slices.Contains([]Derivation{"", Identity, Prospect, Day, Month, Year, Extra}, c.Value) {
		return c.wrong("value", "there is no derived value %q", c.Value)
	}
	if (c.Value == "") == (len(c.From) == 0) {
		return c.wrong("from", "a column has either a path in from, or a value")
	}
	for i, path := range c.From {
		if slices.Contains(strings.Split(path, "."), "") {
			return c.wrong("from", "%q is not a path: a path is keys joined by dots, and no key is empty", path)
		}
		if strings.HasPrefix(path, "$.") || strings.ContainsAny(path, "[]") {
			return c.wrong("from", "%q is not a path: a path begins with a key of the event, joins keys with dots, and does not lead into arrays", path)
		}
		if slices.Contains(c.From[:i], path) {
			return c.wrong("from", "the path %s is listed twice", path)
		}
	}
	if problem := checkPatterns(c.When); problem != "" {
		return c.wrong("when", "%s", problem)
	}
	return nil
}

func (c Column) checkTime() error {
	if c.Time == "" {
		return nil
	}
	if c.Type != Timestamp && c.Type != Date {
		return c.wrong("time", "the column's type must be timestamp or date")
	}
	if _, err := ParseTimeFormat(c.Time); err != nil {
		return c.wrong("time", "%v", err)
	}
	return nil
}

func (c Column) checkPolicy() error {
	switch {
	case c.Policy == "":
		return nil
	case !slices.Contains(Policies(), c.Policy):
		return c.wrong("policy", "there is no policy %q; the policies are %s", c.Policy, list(Policies()))
	case c.Policy != Drop && c.Type != String:
		return c.wrong("policy", "the policy %s turns values into text, so the column's type must be string", c.Policy)
	}
	return nil
}

// checkPatterns describes the first invalid pattern for event types, or returns "".
func checkPatterns(patterns []string) string {
	for _, pattern := range patterns {
		if prefix := strings.TrimSuffix(pattern, "*"); pattern == "" || strings.Contains(prefix, "*") {
			return fmt.Sprintf("%q is not an event type; a * is allowed only at the end, where it matches any ending", pattern)
		}
	}
	return ""
}

func list[T ~string](words []T) string {
	texts := make([]string, len(words))
	for i, w := range words {
		texts[i] = string(w)
	}
	return strings.Join(texts, ", ")
}

// checkPaths refuses a column that would take the same value of an event as another
// column of the table, or a value inside another column's value. Of two such
// columns, it refuses the later one.
func (t Table) checkPaths(columns []Column) error {
	for _, c := range slices.Backward(columns) {
		for _, o := range t.Columns {
			if o.Name == c.Name {
				continue
			}
			for _, path := range c.From {
				for _, other := range o.From {
					switch {
					case path == other && overlap(c.When, o.When):
						return &DeclarationError{c.Name, "from", fmt.Sprintf("the column %s already takes the value of %s", o.Name, path)}
					case takesObjects(c) && strings.HasPrefix(other, path+"."):
						return &DeclarationError{c.Name, "from", fmt.Sprintf("it would take all of %s, but the column %s takes %s, which is inside it", path, o.Name, other)}
					case takesObjects(o) && strings.HasPrefix(path, other+"."):
						return &DeclarationError{c.Name, "from", fmt.Sprintf("%s is inside %s, and the column %s takes all of %s", path, other, o.Name, other)}
					case path == other && c.Policy != o.Policy:
						return &DeclarationError{c.Name, "policy", fmt.Sprintf("the column %s also takes the value of %s, for other event types, so both columns need the same policy", o.Name, path)}
					}
				}
			}
		}
	}
	return nil
}

// checkSpellings refuses a column whose path differs from the path of a protected
// value only in case. Policies ignore case, so the column would receive protected
// values. Only Declare checks this, because the lock files of older versions may have
// such columns.
func (t Table) checkSpellings(columns []Column) error {
	for _, c := range slices.Backward(columns) {
		for _, o := range t.Columns {
			if o.Name == c.Name || c.Policy == "" && o.Policy == "" {
				continue
			}
			for _, path := range c.From {
				for _, other := range o.From {
					if problem := spelling(c, path, o, other); problem != "" {
						return &DeclarationError{c.Name, "from", problem}
					}
				}
			}
		}
	}
	return nil
}

// spelling describes why a column cannot have a path next to the path of another
// column, or returns "".
func spelling(c Column, path string, o Column, other string) string {
	const policies = "and policies ignore case"
	switch {
	case c.Policy != o.Policy && sameName(path, other):
		return fmt.Sprintf("%s differs from %s of the column %s at most in case, %s, so both columns need the same policy", path, other, o.Name, policies)
	case inside(path, other) && (o.Policy != "" || c.Policy != "" && o.Type == JSON):
		return fmt.Sprintf("%s is inside %s, which the column %s takes with all its fields, %s", path, other, o.Name, policies)
	case inside(other, path) && (c.Policy != "" || o.Policy != "" && c.Type == JSON):
		return fmt.Sprintf("%s includes %s, which the column %s takes, %s", path, other, o.Name, policies)
	}
	return ""
}

// inside reports whether a path leads into the value at another path, ignoring case.
func inside(path, of string) bool {
	keys, outer := strings.Split(path, "."), strings.Split(of, ".")
	return len(keys) > len(outer) && sameName(strings.Join(keys[:len(outer)], "."), of)
}

// takesObjects reports whether a column takes or protects objects with all their fields.
func takesObjects(c Column) bool { return c.Type == JSON || c.Policy != "" }

// overlap reports whether an event type can match both lists of patterns.
func overlap(a, b []string) bool {
	if len(a) == 0 || len(b) == 0 {
		return true
	}
	for _, p := range a {
		for _, q := range b {
			if matches([]string{p}, strings.TrimSuffix(q, "*")) || matches([]string{q}, strings.TrimSuffix(p, "*")) {
				return true
			}
		}
	}
	return false
}

// sameName reports whether two columns have the same name for readers.
func sameName(a, b string) bool { return strings.EqualFold(a, b) }
