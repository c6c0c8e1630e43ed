package view

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"prospector/jobs"
	"prospector/jobs/plan"
)

// Plan prints what would change, and the summary line.
func (v *View) Plan(p *plan.Plan) {
	v.warnings(p)
	summary := p.Summary()
	if summary.Empty() {
		v.Printf("\n%s The lake holds exactly what the source gave.\n", v.paint("No changes.", bold, green))
		for _, j := range p.Jobs {
			v.Printf("\n  %s: %s\n", j.Address, books(j.Books))
		}
		return
	}
	v.Printf("\nProspector will perform the following actions:\n")
	for _, j := range p.Jobs {
		v.Printf("\n  %s\n", v.paint("# "+j.Address, bold))
		for _, line := range v.changeLines(j) {
			v.Printf("  %s\n", line)
		}
		v.Printf("\n    %s\n", books(j.Books))
	}
	v.Printf("\n%s %d to add, %d to change, %d to destroy.\n", v.paint("Plan:", bold), summary.Add, summary.Change, summary.Destroy)
}

func (v *View) warnings(p *plan.Plan) {
	for _, j := range p.Jobs {
		v.Diagnostics(j.Warnings)
	}
}

func books(b plan.Books) string {
	return fmt.Sprintf("%s read = %s added + %s changed + %s unchanged + %s + %s quarantined",
		plural(b.Events, "event"), count(b.Added), count(b.Changed), count(b.Unchanged),
		plural(b.Duplicates, "duplicate"), count(b.Quarantined))
}

// foldAbove is the number of changes up to which each has a line of its own.
const foldAbove = 24

// fold is neighbouring changes of one kind: the partitions from the first one to
// the last.
type fold struct {
	action      plan.Action
	first, last string
	partitions  int
	rows        plan.Rows
	bytes       int64
}

// changeLines are a line a change; where there are many, neighbours that differ
// only in their last partition key share one.
func (v *View) changeLines(j plan.Job) []string {
	var folds []fold
	changes := slices.DeleteFunc(slices.Clone(j.Changes), func(c plan.Change) bool { return c.Action == plan.NoOp })
	for _, c := range changes {
		if n := len(folds) - 1; n >= 0 && len(changes) > foldAbove &&
			folds[n].action == c.Action && parent(folds[n].first) == parent(c.Partition) {
			folds[n].add(c)
			continue
		}
		f := fold{action: c.Action, first: c.Partition}
		f.add(c)
		folds = append(folds, f)
	}
	var lines [][2]string
	for _, f := range folds {
		lines = append(lines, [2]string{v.symbol(f.action) + " " + f.name(), f.effect()})
	}
	if q := j.Quarantine; q != nil {
		action := plan.Update
		switch {
		case q.After == 0:
			action = plan.Delete
		case q.Before == 0:
			action = plan.Create
		}
		lines = append(lines, [2]string{v.symbol(action) + " quarantine", fmt.Sprintf("%s (before: %s)", plural(q.After, "event"), count(q.Before))})
	}
	width := 0
	for _, l := range lines {
		width = max(width, visible(l[0]))
	}
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = l[0] + strings.Repeat(" ", width-visible(l[0])+2) + l[1]
	}
	return out
}

func (f *fold) add(c plan.Change) {
	f.last = c.Partition
	f.partitions++
	f.rows.Added += c.Rows.Added
	f.rows.Changed += c.Rows.Changed
	f.rows.Removed += c.Rows.Removed
	f.rows.Before += c.Rows.Before
	f.rows.After += c.Rows.After
	f.bytes += c.After
}

func (f *fold) name() string {
	if f.first == f.last {
		return f.first
	}
	_, last, _ := strings.Cut(f.last[strings.LastIndex(f.last, "/")+1:], "=")
	return f.first + " … " + last
}

func (f *fold) effect() string {
	var parts []string
	if f.partitions > 1 {
		parts = append(parts, plural(f.partitions, "partition"))
	}
	switch f.action {
	case plan.Create:
		parts = append(parts, plural(f.rows.After, "row"), size(f.bytes))
	case plan.Delete:
		parts = append(parts, plural(f.rows.Before, "row")+" gone")
	default:
		parts = append(parts, fmt.Sprintf("%s added, %s changed, %s removed, %s in all",
			count(f.rows.Added), count(f.rows.Changed), count(f.rows.Removed), count(f.rows.After)), size(f.bytes))
	}
	return strings.Join(parts, ", ")
}

func parent(path string) string { return path[:strings.LastIndex(path, "/")+1] }

func (v *View) symbol(a plan.Action) string {
	switch a {
	case plan.Create:
		return v.paint("+", green)
	case plan.Update:
		return v.paint("~", yellow)
	case plan.Delete:
		return v.paint("-", red)
	}
	return " "
}

// visible is the number of columns that text takes, colours aside.
func visible(text string) int {
	n := 0
	for {
		start := strings.Index(text, "\033[")
		if start < 0 {
			return n + utf8.RuneCountInString(text)
		}
		n += utf8.RuneCountInString(text[:start])
		text = text[start:]
		text = text[strings.IndexByte(text, 'm')+1:]
	}
}

// Applied prints the end of an apply.
func (v *View) Applied(p *plan.Plan) {
	s := p.Summary()
	v.Printf("\n%s Partitions: %d added, %d changed, %d destroyed.\n", v.paint("Apply complete!", bold, green), s.Add, s.Change, s.Destroy)
}

// Outputs prints the outputs of a configuration.
func (v *View) Outputs(outputs []jobs.Output) {
	if len(outputs) == 0 {
		return
	}
	v.Printf("\n%s\n\n", v.paint("Outputs:", bold, green))
	for _, o := range outputs {
		value := literal(o.Value, "")
		if o.Sensitive {
			value = "<sensitive>"
		}
		v.Printf("%s = %s\n", o.Name, value)
	}
}

// literal writes a value as the configuration language would.
func literal(value any, indent string) string {
	inner := indent + "  "
	switch value := value.(type) {
	case nil:
		return "null"
	case string:
		return fmt.Sprintf("%q", value)
	case []any:
		if len(value) == 0 {
			return "[]"
		}
		var b strings.Builder
		for _, item := range value {
			b.WriteString(inner + literal(item, inner) + ",\n")
		}
		return "[\n" + b.String() + indent + "]"
	case map[string]any:
		if len(value) == 0 {
			return "{}"
		}
		var b strings.Builder
		for _, key := range slices.Sorted(maps.Keys(value)) {
			fmt.Fprintf(&b, "%s%q = %s\n", inner, key, literal(value[key], inner))
		}
		return "{\n" + b.String() + indent + "}"
	}
	return fmt.Sprint(value)
}
