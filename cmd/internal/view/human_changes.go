package view

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"prospector/jobs/plan"
)

// foldAbove is the maximum number of changes that get a line each.
const foldAbove = 24

// fold is a run of adjacent partitions with the same action, from first to last.
type fold struct {
	action      plan.Action
	first, last string
	partitions  int
	files       int // after the apply
	rows        plan.Rows
	bytes       int64
	sinks       []string // that the changes write to
}

// changeLines returns one line for each change. If there are many changes, adjacent
// partitions that differ only in the last key share a line.
func (v planPrinter) changeLines(j plan.Job) []Text {
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
		lines = append(lines, [2]Text{Format("%s %s", v.symbol(plan.Delete), w.Key), "left by an interrupted apply"})
	}
	for _, w := range j.Output.Foreign {
		lines = append(lines, [2]Text{Format("%s %s", v.symbol(plan.Delete), w.Key), "not owned by prospector"})
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

// effect describes what happens to the rows. A rewrite moves the rows of a deleted
// partition to others.
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
			fate = ", rewritten"
		}
		parts = append(parts, plural(f.rows.Before, "row")+fate)
	case f.action == plan.Replace:
		parts = append(parts, plural(f.rows.After, "row"), f.size())
	case f.rows.Added+f.rows.Changed+f.rows.Removed == 0 && rewrite != nil:
		parts = append(parts, plural(f.rows.After, "row")+" rewritten", f.size())
	case f.rows.Added+f.rows.Changed+f.rows.Removed == 0: // a sink lacks the partition
		parts = append(parts, fmt.Sprintf("the same %s to %s", plural(f.rows.After, "row"), strings.Join(f.sinks, " and ")), f.size())
	default:
		parts = append(parts, fmt.Sprintf("%s added, %s changed, %s removed, %s in total",
			count(f.rows.Added), count(f.rows.Changed), count(f.rows.Removed), count(f.rows.After)), f.size())
	}
	return strings.Join(parts, ", ")
}

// size returns the size after the apply, with the number of files if a partition has
// several.
func (f *fold) size() string {
	if f.files > f.partitions {
		return fmt.Sprintf("%s in %s", size(f.bytes), plural(f.files, "file"))
	}
	return size(f.bytes)
}

func parent(path string) string { return path[:strings.LastIndex(path, "/")+1] }

// visible returns the number of columns that a text takes, without colors.
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
