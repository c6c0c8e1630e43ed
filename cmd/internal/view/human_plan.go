package view

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"prospector/jobs"
	"prospector/jobs/erase"
	"prospector/jobs/plan"
	"prospector/schemas"
)

// Plan prints what would change, and the summary line.
func (v *Human) Plan(p *plan.Plan) {
	v.warnings(p)
	if p.Empty() {
		v.Printf("\n%s %s\n", v.paint("No changes.", bold, green), nothing(p))
		for _, j := range p.Jobs {
			v.rejected(j)
			v.reading(j)
		}
		return
	}
	if p.Mode == plan.RefreshOnly {
		v.Printf("\nThe state would follow what was found, and forget the files that are gone.\nNothing in a sink changes.\n")
	}
	v.legend(p)
	if p.Mode != plan.RefreshOnly {
		v.Printf("\nProspector will perform the following actions:\n")
	}
	for _, m := range p.Moved {
		v.Printf("\n  %s has moved to %s\n", v.paint("# "+m.From, bold), v.paint(m.To, bold))
	}
	for _, address := range p.Forgotten {
		v.Printf("\n  %s will be forgotten; its files stay\n", v.paint("# "+address, bold))
	}
	if p.Mode == plan.RefreshOnly {
		return
	}
	for _, j := range p.Jobs {
		lines := v.changeLines(j)
		if j.Destroy && len(lines) == 0 {
			continue
		}
		headline := v.paint("# "+j.Address, bold) + v.fate(j)
		if len(lines) == 0 {
			headline += " has no changes"
		}
		v.Printf("\n  %s\n", headline)
		for _, m := range j.Found.Renamed {
			v.Printf("    %s is called %s now\n", m.From, m.To)
		}
		v.rewrite(j.Output.Rewrite)
		for _, line := range lines {
			v.Printf("  %s\n", line)
		}
		v.rejected(j)
		v.reading(j)
	}
	s := p.Summary()
	v.Printf("\n%s %d to add, %d to change, %d to destroy.\n", v.paint("Plan:", bold), s.Add, s.Change, s.Destroy)
}

// rejected lists the first partitions that cannot be published.
func (v *Human) rejected(j plan.Job) {
	const most = 10
	for _, r := range j.Problems.Rejected[:min(most, len(j.Problems.Rejected))] {
		v.Printf("  %s %s cannot be published: %s\n", v.paint("!", bold, red), partitionAddress(j.Address, r.Partition), r.Problem.Summary)
	}
	if more := len(j.Problems.Rejected) - most; more > 0 {
		v.Printf("    and %s\n", plural(more, "more partition"))
	}
}

// rewrite tells how the schema of published files changes.
func (v *Human) rewrite(r *plan.Rewrite) {
	if r == nil {
		return
	}
	v.Printf("  %s schema: %s of %s written anew\n", v.symbol(plan.Update), plural(r.Rows, "row"), plural(r.Files, "file"))
	if r.Repartitions() {
		v.Printf("      %s partition_by = [%s] -> [%s]\n", v.symbol(plan.Update), quoted(r.Before), quoted(r.After))
	}
	v.columnChanges(r.Columns, "      ")
}

// nothing says what no changes mean.
func nothing(p *plan.Plan) string {
	incomplete := int64(0)
	for _, j := range p.Jobs {
		incomplete += j.Source.Reading.Incomplete()
	}
	switch {
	case p.Mode == plan.Destroy:
		return "There is nothing to destroy."
	case p.Mode == plan.Erase:
		return "Neither a published file nor a quarantine has anything of the prospect. Is the ID right?"
	case p.Mode == plan.RefreshOnly && slices.ContainsFunc(p.Jobs, func(j plan.Job) bool { return len(j.Found.Drift) > 0 }):
		return "There is nothing for the state to forget."
	case p.Mode == plan.RefreshOnly:
		return "The state agrees with the sinks."
	case slices.ContainsFunc(p.Jobs, func(j plan.Job) bool { return len(j.Problems.Rejected) > 0 }):
		return "The lake holds everything that could be published."
	case len(p.Targets) > 0:
		return "What the plan is kept to is as the source gave it."
	case incomplete > 0:
		return "The lake holds everything that could be read."
	}
	return "The lake holds exactly what the source gave."
}

// legend explains the symbols that the plan has.
func (v *Human) legend(p *plan.Plan) {
	used := make(map[plan.Action]bool)
	for _, c := range changesOf(p) {
		used[c.Action] = true
	}
	var lines Text
	for _, l := range []struct {
		action plan.Action
		means  string
	}{
		{plan.Create, "create"}, {plan.Update, "update in place"}, {plan.Delete, "destroy"},
		{plan.Replace, "replace, that is write anew"},
	} {
		if used[l.action] {
			lines += Format("%s%s %s\n", strings.Repeat(" ", 3-visible(v.symbol(l.action))), v.symbol(l.action), l.means)
		}
	}
	if lines != "" {
		v.Printf("\nPartition actions are indicated with the following symbols:\n%s", lines)
	}
}

// fate says in the headline of a job that its table is destroyed.
func (v *Human) fate(j plan.Job) Text {
	if !j.Destroy {
		return ""
	}
	text := Format(" will be %s in %s", v.paint("destroyed", red, bold), strings.Join(j.Sinks, " and "))
	if j.DestroyReason != "" {
		text += Format(", since %s", j.DestroyReason)
	}
	return text
}

// reading tells what was read for a job, and what became of it.
func (v *Human) reading(j plan.Job) {
	r := j.Source.Reading
	if r.Prospects == 0 {
		return
	}
	v.Printf("\n    %s\n", books(j.Source.Books))
	prospects := plural(r.Prospects, "prospect")
	if l := r.List; l.Added+l.Removed > 0 {
		prospects += fmt.Sprintf(": %s new, %s no longer in the list, whose rows stay%s", count(l.Added), count(l.Removed), named(l))
	}
	if n := r.Incomplete(); n > 0 {
		prospects += fmt.Sprintf(" (%s not read whole)", count(n))
	}
	cost := fmt.Sprintf("%s, %s, %s", plural(r.Requests, "request"), size(r.Bytes), seconds(r.Seconds))
	if r.Rate > 0 {
		cost += fmt.Sprintf("; at %g requests a second no less than %s", r.Rate, seconds(atRate(r)))
	}
	v.Printf("    %s\n    %s\n", prospects, cost)
	v.survey(j.Source.Survey)
	if m := j.Source.Missing; m.Kept+m.Deleted > 0 {
		line := fmt.Sprintf("%s not among what was read", plural(m.Kept+m.Deleted, "published row"))
		switch {
		case m.Deleted == 0:
			line += ", and kept"
		case m.Kept == 0:
			line += ", and deleted"
		default:
			line += fmt.Sprintf(": %s deleted; %s kept, as their prospects are incomplete or wait for another empty read", count(m.Deleted), count(m.Kept))
		}
		v.Printf("    %s\n", line)
	}
}

// survey tells what was read beyond what the table expects.
func (v *Human) survey(s *schemas.Survey) {
	if s == nil {
		return
	}
	paths, values, broken := make(map[string]bool), int64(0), int64(0)
	for f := range s.Unmapped {
		paths[f.Path] = true
	}
	for f, n := range s.Mismatched {
		if f.Kind == schemas.KindNotUnicode {
			broken += n
		} else {
			values += n
		}
	}
	if len(paths) > 0 {
		v.Printf("    %s without a column of their own: prospector schema infer\n", plural(len(paths), "field"))
	}
	if values > 0 {
		v.Printf("    %s of another type than their column's: prospector schema infer\n", plural(values, "value"))
	}
	if broken > 0 {
		v.Printf("    %s with text that is not Unicode: U+FFFD in the column, the bytes in extra_json\n", plural(broken, "value"))
	}
}

func quoted(words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = strconv.Quote(w)
	}
	return strings.Join(out, ", ")
}

// named are the first ids of a changed list.
func named(l *plan.List) string {
	const most = 5
	var parts []string
	add := func(sign string, ids []string, n int64) {
		for _, id := range ids[:min(most, len(ids))] {
			parts = append(parts, sign+id)
		}
		if n > most && len(ids) > 0 {
			parts = append(parts, sign+"…")
		}
	}
	add("+", l.AddedIDs, l.Added)
	add("-", l.RemovedIDs, l.Removed)
	return " (" + strings.Join(parts, " ") + ")"
}

func seconds(s float64) string {
	d := time.Duration(s * float64(time.Second))
	if d >= time.Minute {
		return d.Round(time.Second).String()
	}
	return d.Round(10 * time.Millisecond).String()
}

func (v *Human) warnings(p *plan.Plan) {
	v.Diagnostics(p.Warnings)
	for _, j := range p.Jobs {
		v.Diagnostics(j.Problems.Warnings)
	}
	for _, c := range p.Checks {
		if c.Severity == jobs.Warning {
			v.Diagnostics(c.Problems)
		}
	}
}

func books(b plan.Books) string {
	text := fmt.Sprintf("%s read = %s added + %s changed + %s unchanged + %s + %s quarantined",
		plural(b.Events, "event"), count(b.Added), count(b.Changed), count(b.Unchanged),
		plural(b.Duplicates, "duplicate"), count(b.Quarantined))
	if b.Rejected > 0 {
		text += fmt.Sprintf(" + %s rejected", count(b.Rejected))
	}
	return text
}

// foldAbove is the number of changes up to which each has a line of its own.
const foldAbove = 24

// fold is neighbouring changes of one kind: the partitions from the first one to
// the last.
type fold struct {
	action      plan.Action
	first, last string
	partitions  int
	files       int // that they are to have
	rows        plan.Rows
	bytes       int64
	sinks       []string // that are written
}

// changeLines are a line a change; where there are many, neighbours that differ
// only in their last partition key share one.
func (v *Human) changeLines(j plan.Job) []Text {
	var folds []fold
	changes := slices.DeleteFunc(slices.Clone(j.Output.Changes), func(c plan.Change) bool { return c.Action == plan.NoOp })
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
	var lines [][2]Text
	for _, f := range folds {
		lines = append(lines, [2]Text{Format("%s %s", v.symbol(f.action), f.name()), Format("%s", f.effect(j.Output.Rewrite))})
	}
	if q := j.Output.Quarantine; q != nil {
		lines = append(lines, [2]Text{v.symbol(q.Action()) + " quarantine", Format("%s (before: %s)", plural(q.After, "event"), count(q.Before))})
	}
	for _, w := range j.Output.Obsolete {
		lines = append(lines, [2]Text{Format("%s %s", v.symbol(plan.Delete), w.Key), "left by an apply that was interrupted"})
	}
	for _, w := range j.Output.Foreign {
		lines = append(lines, [2]Text{Format("%s %s", v.symbol(plan.Delete), w.Key), "not prospector's"})
	}
	width := 0
	for _, l := range lines {
		width = max(width, visible(l[0]))
	}
	out := make([]Text, len(lines))
	for i, l := range lines {
		out[i] = Format("%s%s%s", l[0], strings.Repeat(" ", width-visible(l[0])+2), l[1])
	}
	return out
}

func (f *fold) add(c plan.Change) {
	f.last = c.Partition
	f.partitions++
	f.files += len(c.Staged)
	f.rows.Added += c.Rows.Added
	f.rows.Changed += c.Rows.Changed
	f.rows.Removed += c.Rows.Removed
	f.rows.Before += c.Rows.Before
	f.rows.After += c.Rows.After
	f.bytes += c.After
	for _, w := range c.Writes {
		if !slices.Contains(f.sinks, w.Sink) {
			f.sinks = append(f.sinks, w.Sink)
		}
	}
}

func (f *fold) name() string {
	if f.first == f.last {
		return f.first
	}
	_, last, _ := strings.Cut(f.last[strings.LastIndex(f.last, "/")+1:], "=")
	return f.first + " … " + last
}

// effect tells what becomes of the rows. By a rewrite, those of a deleted
// partition are in others now.
func (f *fold) effect(rewrite *plan.Rewrite) string {
	var parts []string
	if f.partitions > 1 {
		parts = append(parts, plural(f.partitions, "partition"))
	}
	switch {
	case f.action == plan.Create:
		parts = append(parts, plural(f.rows.After, "row"), f.size())
	case f.action == plan.Delete:
		fate := " gone"
		if rewrite != nil && rewrite.Repartitions() {
			fate = ", written anew"
		}
		parts = append(parts, plural(f.rows.Before, "row")+fate)
	case f.action == plan.Replace:
		parts = append(parts, plural(f.rows.After, "row"), f.size())
	case f.rows.Added+f.rows.Changed+f.rows.Removed == 0 && rewrite != nil:
		parts = append(parts, plural(f.rows.After, "row")+" written anew", f.size())
	case f.rows.Added+f.rows.Changed+f.rows.Removed == 0: // a sink lacks it
		parts = append(parts, fmt.Sprintf("the same %s into %s", plural(f.rows.After, "row"), strings.Join(f.sinks, " and ")), f.size())
	default:
		parts = append(parts, fmt.Sprintf("%s added, %s changed, %s removed, %s in all",
			count(f.rows.Added), count(f.rows.Changed), count(f.rows.Removed), count(f.rows.After)), f.size())
	}
	return strings.Join(parts, ", ")
}

// size is in how many files it is, too, where partitions have several.
func (f *fold) size() string {
	if f.files > f.partitions {
		return fmt.Sprintf("%s in %s", size(f.bytes), plural(f.files, "file"))
	}
	return size(f.bytes)
}

func parent(path string) string { return path[:strings.LastIndex(path, "/")+1] }

func (v *Human) symbol(a plan.Action) Text {
	switch a {
	case plan.Create:
		return v.paint("+", green)
	case plan.Update:
		return v.paint("~", yellow)
	case plan.Delete:
		return v.paint("-", red)
	case plan.Replace:
		return v.paint("-", red) + "/" + v.paint("+", green)
	}
	return " "
}

// visible is the number of columns that text takes, colours aside.
func visible(of Text) int {
	n, text := 0, string(of)
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
func (v *Human) Applied(p *plan.Plan) {
	s, done := p.Summary(), operation(p.Mode)+" complete!"
	if p.Mode == plan.RefreshOnly {
		v.Printf("\n%s The state follows what was found.\n", v.paint(done, bold, green))
		return
	}
	v.Printf("\n%s Partitions: %d added, %d changed, %d destroyed.\n", v.paint(done, bold, green), s.Add, s.Change, s.Destroy)
}

// Erased prints what was searched after an erase.
func (v *Human) Erased(e erase.Result) {
	v.Printf("The second reader has read %s, and found no row of the prospect.\n", plural(e.Files, "published file"))
	v.Printf("A search of %s next to the state, in the sinks and in the data directory found nothing of the prospect.\n", plural(e.Objects, "other object"))
	if e.Records > 0 {
		v.Printf("The prospect's name was taken out of %s of runs.\n", plural(e.Records, "record"))
	}
	if e.Removed > 0 {
		v.Printf("Removed, since they named the prospect or could not be searched: %s.\n", plural(e.Removed, "object"))
	}
	if len(e.Mentions) > 0 {
		v.Printf("\nThe ID also occurs where it is not the prospect's own. Check whether it means the prospect:\n\n")
		for _, m := range e.Mentions[:min(len(e.Mentions), maxMentions)] {
			v.Printf("  %s: %s (%d)\n", m.URI, m.Place, m.Count)
		}
		if more := len(e.Mentions) - maxMentions; more > 0 {
			v.Printf("  … and %d more\n", more)
		}
	}
}

// maxMentions is how many places Erased lists.
const maxMentions = 20

// Outputs prints the outputs of a configuration, below a headline.
func (v *Human) Outputs(outputs []jobs.Output) {
	if len(outputs) == 0 {
		return
	}
	v.Printf("\n%s\n\n", v.paint("Outputs:", bold, green))
	v.OutputList(outputs)
}

// OutputList prints outputs as the configuration language would.
func (v *Human) OutputList(outputs []jobs.Output) {
	for _, o := range outputs {
		value := Literal(o.Value)
		if o.Sensitive {
			value = "<sensitive>"
		}
		v.Printf("%s = %s\n", o.Name, value)
	}
}

// Literal writes a value as the configuration language would.
func Literal(value any) Text { return Program(literal(value, "")) }

// literal is Literal in a line that is indented so far.
func literal(value any, indent string) string {
	inner := indent + "  "
	switch value := value.(type) {
	case nil:
		return "null"
	case string:
		return fmt.Sprintf("%q", value)
	case float64:
		return strconv.FormatFloat(value, 'f', -1, 64)
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
