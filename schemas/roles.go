package schemas

import (
	"fmt"
	"slices"
	"strings"
)

// Roles name the columns of a table that prospector itself depends on: identity,
// partitions, order, merging and erasure use these columns, whatever their names.
// A column can have several roles.
type Roles struct {
	ID      string `json:"id"`                // identifies a row, and is the same in every run
	Entity  string `json:"entity"`            // the prospect that the row was requested for
	Type    string `json:"type,omitempty"`    // the kind of the row; "" if rows have no kinds
	Day     string `json:"day"`               // the UTC day of Time, or of Created if that is NULL
	Time    string `json:"time"`              // when it happened
	Created string `json:"created,omitempty"` // when the source recorded it; "" if the source does not report that
}

// Roles returns the names of the table's columns with a role.
func (t Table) Roles() Roles {
	if t.OwnRoles != (Roles{}) {
		return t.OwnRoles
	}
	_, roles := knockEvents()
	return roles
}

// The roles, as values of a column's attribute role.
const (
	roleID      = "id"
	roleEntity  = "entity"
	roleType    = "type"
	roleDay     = "day"
	roleTime    = "time"
	roleCreated = "created"
)

// assignment is a role and the name of the column that has it.
type assignment struct {
	role   string
	column *string
	kind   Type
}

// assignments lists all roles. Tables have the columns in this order.
func (r *Roles) assignments() []assignment {
	return []assignment{
		{roleID, &r.ID, String}, {roleEntity, &r.Entity, String}, {roleType, &r.Type, String},
		{roleDay, &r.Day, Date}, {roleTime, &r.Time, Timestamp}, {roleCreated, &r.Created, Timestamp},
	}
}

// columns returns the names of the columns with a role, in the order of a table.
func (r Roles) columns() (names []string) {
	for _, a := range r.assignments() {
		if *a.column != "" && !slices.Contains(names, *a.column) {
			names = append(names, *a.column)
		}
	}
	return names
}

// implied are the roles of columns with a derived value.
var implied = map[Derivation]string{Identity: roleID, Prospect: roleEntity, Day: roleDay}

// MaxTypeLength is the maximum length of a row's type, in bytes. Encoding can turn each
// byte into five, and the result still fits in a directory name on every file system.
const MaxTypeLength = 48

// daySuffix ends the name of every day column. The names of the partition keys for
// its month and its year have monthSuffix and yearSuffix instead.
const (
	daySuffix   = "_date"
	monthSuffix = "_month"
	yearSuffix  = "_year"
)

func (r Roles) stem() string { return strings.TrimSuffix(r.Day, daySuffix) }

// Month names the partition key for the month of the day.
func (r Roles) Month() string { return r.stem() + monthSuffix }

// Year names the partition key for the year of the day.
func (r Roles) Year() string { return r.stem() + yearSuffix }

// assign gives a column a role.
func (r *Roles) assign(name string, of Type, role string) error {
	wrong := func(format string, args ...any) error {
		return &DeclarationError{name, "role", fmt.Sprintf(format, args...)}
	}
	for _, a := range r.assignments() {
		switch {
		case a.role != role:
			continue
		case *a.column != "":
			return wrong("the column %s already has the role %s", *a.column, role)
		case of != a.kind:
			return wrong("the column with the role %s must have the type %s", role, a.kind)
		case role == roleDay && !strings.HasSuffix(name, daySuffix):
			return wrong("the name of the column with the role %s must end in %s", role, daySuffix)
		}
		*a.column = name
		return nil
	}
	return wrong("there is no role %q", role)
}

// check returns an error if no column has a role that every table needs.
func (r *Roles) check() error {
	for _, a := range r.assignments() {
		if *a.column == "" && a.role != roleType && a.role != roleCreated {
			return &DeclarationError{"", "", fmt.Sprintf("no column has the role %s", a.role)}
		}
	}
	return nil
}

// declared returns the role of a column that its declaration must name, because
// its value does not imply the role; or "".
func (r Roles) declared(c Column) string {
	for _, a := range r.assignments() {
		if *a.column == c.Name && implied[c.Value] != a.role {
			return a.role
		}
	}
	return ""
}

// extraColumn is the last column of every table.
const extraColumn = "extra_json"

// IsCore reports whether the column with that name is a core column: one with a role,
// or the one that takes the fields without a column. A table that extends another one
// has the same core columns.
func (r Roles) IsCore(name string) bool {
	return slices.ContainsFunc(append(r.columns(), extraColumn), func(core string) bool {
		return strings.EqualFold(core, name)
	})
}

// Core returns the table with only its core columns, partitioned by the default keys.
func (t Table) Core() Table {
	core := Table{EventTypes: t.EventTypes, OwnRoles: t.OwnRoles}
	for _, c := range t.Unpartitioned().Columns {
		if t.Roles().IsCore(c.Name) {
			core.Columns = append(core.Columns, c)
		}
	}
	return partitioned(core)
}

// PartitionKeys names the columns that a table can be partitioned by: the type,
// the day, and the month and the year of the day, which exist only as keys.
func (r Roles) PartitionKeys() []string {
	var keys []string
	if r.Type != "" {
		keys = append(keys, r.Type)
	}
	return append(keys, r.Day, r.Month(), r.Year())
}

// derivedKey returns the partition key with that name if it is the month or the
// year of the day.
func (r Roles) derivedKey(name string) (Column, bool) {
	switch name {
	case r.Month():
		return Column{Name: name, Type: Date, Value: Month, Description: "First day of the UTC month of the " + r.stem() + "."}, true
	case r.Year():
		return Column{Name: name, Type: Date, Value: Year, Description: "First day of the UTC year of the " + r.stem() + "."}, true
	}
	return Column{}, false
}

// partitioned returns the table partitioned by the default keys: its type, if it has
// one, and its day.
func partitioned(t Table) Table {
	r := t.Roles()
	keys := []string{r.Day}
	if r.Type != "" {
		keys = []string{r.Type, r.Day}
	}
	t, err := t.PartitionedBy(keys...)
	if err != nil {
		panic(err) // every table has its day
	}
	return t
}
