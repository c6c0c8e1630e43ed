package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"prospector/jobs"
)

// jobAddress names a job or one instance of it, declared or not.
type jobAddress struct {
	job   string
	key   string
	keyed bool
}

func (a jobAddress) String() string {
	if a.keyed {
		return instanceOf(a.job, a.key)
	}
	return a.job
}

// instance returns the address of an instance.
func (a jobAddress) instance(key string) jobAddress { return jobAddress{a.job, key, true} }

// move is a moved block.
type move struct {
	*block
	from, to jobAddress
}

// moves reads the moved and removed blocks, when all jobs are known. It returns the moves
// in the order in which they apply, one for each instance of a job with for_each.
func (l *loader) moves(moved, removed []*hcl.Block) ([]jobs.Moved, []jobs.Removed) {
	named := map[jobAddress]*hcl.Block{} // the block that moves or removes a job
	once := func(b *block, hb *hcl.Block, from jobAddress) bool {
		first := named[from]
		if first == nil {
			named[from] = hb
			return true
		}
		b.fail("from", "Duplicate declaration", fmt.Sprintf("The %[2]s block at %[3]s:%[4]d already applies to %[1]s. Keep one of the two.",
			from, first.Type, first.DefRange.Filename, first.DefRange.Start.Line))
		return false
	}
	byFrom := map[jobAddress]move{}
	var moves []move
	for _, hb := range moved {
		b := l.unopened(hb, "moved", []string{"from", "to"})
		b.needs("from", "to")
		from, ok := b.jobAddress("from")
		to, also := b.jobAddress("to")
		if ok && also && once(b, hb, from) {
			m := move{b, from, to}
			byFrom[from], moves = m, append(moves, m)
		}
	}
	var gone []jobs.Removed
	for _, hb := range removed {
		b := l.unopened(hb, "removed", []string{"from"}, hcl.BlockHeaderSchema{Type: "lifecycle"})
		b.needs("from")
		from, ok := b.jobAddress("from")
		r := jobs.Removed{Block: b.Block, From: from.String()}
		if lifecycle := b.single(); lifecycle != nil {
			l.open(lifecycle, "removed", []string{"destroy"}).bool("destroy", &r.Destroy)
		}
		if !ok || !once(b, hb, from) {
			continue
		}
		if l.declares(from) || l.declaresMany(from) {
			b.fail("from", "Removed job still exists", fmt.Sprintf("%s is still declared, at %s. Remove the job, or this block.", from, l.declaredAt(from)))
		}
		gone = append(gone, r)
	}
	slices.SortFunc(gone, func(a, b jobs.Removed) int { return strings.Compare(a.From, b.From) })

	moves = l.acyclic(moves, byFrom)
	arrivals := map[jobAddress]move{}
	for _, m := range moves {
		if !l.checkMove(m, byFrom, named) {
			continue
		}
		if first, ok := arrivals[m.to]; ok {
			m.fail("to", "Two moves to one address", fmt.Sprintf("%s is moved to %s already, at %s:%d, and two tables cannot become one.",
				first.from, m.to, first.Origin.Filename, first.Origin.Line))
			continue
		}
		arrivals[m.to] = m
	}
	if l.diags.HasErrors() {
		return nil, gone
	}
	return l.expanded(moves, byFrom, arrivals), gone
}

// needs reports attributes that are missing, unless one may be misspelled.
func (b *block) needs(names ...string) {
	intact := !b.failed
	for _, name := range names {
		if b.attrs[name] == nil && intact {
			b.fail(name, "Missing required attribute", fmt.Sprintf("A %s block needs %s: the address that the job %s, such as job.prospect_events.",
				b.Address, name, map[string]string{"from": "had", "to": "has now"}[name]))
		}
	}
}

// jobAddress reads an attribute that names a job. The job need not be declared.
func (b *block) jobAddress(name string) (jobAddress, bool) {
	attr := b.attrs[name]
	if attr == nil {
		return jobAddress{}, false
	}
	t, diags := hcl.AbsTraversalForExpr(attr.Expr)
	if !diags.HasErrors() && t.RootName() == "job" && (len(t) == 2 || len(t) == 3) {
		label, ok := t[1].(hcl.TraverseAttr)
		if ok && len(t) == 2 {
			return jobAddress{job: "job." + label.Name}, true
		}
		if _, index := t[len(t)-1].(hcl.TraverseIndex); ok && index {
			if key, ok := stepName(t[2]); ok {
				return jobAddress{"job." + label.Name, key, true}, true
			}
		}
	}
	b.fail(name, "Wrong value for "+name, fmt.Sprintf(
		`%s must be the address of a job, such as job.prospect_events or job.prospect_events["north"]. It is not evaluated.`, name))
	return jobAddress{}, false
}

// declares reports whether a job with the address is declared.
func (l *loader) declares(a jobAddress) bool {
	n := l.nodes[a.job]
	if n == nil || n.each != a.keyed {
		return false
	}
	v := l.value(a.job)
	return !n.each || !v.IsKnown() || v.Type().HasAttribute(a.key)
}

// declaresMany reports whether the address names a job with for_each.
func (l *loader) declaresMany(a jobAddress) bool {
	n := l.nodes[a.job]
	return n != nil && n.each && !a.keyed
}

func (l *loader) declaredAt(a jobAddress) string {
	at := l.nodes[a.job].declared
	return fmt.Sprintf("%s:%d", at.Filename, at.Start.Line)
}

// acyclic reports moves that form a circle, each circle once, and returns the other
// moves.
func (l *loader) acyclic(moves []move, byFrom map[jobAddress]move) []move {
	circular := map[jobAddress]bool{}
	for _, m := range moves {
		trail := []string{m.from.String()}
		next, more := m, true
		for more && len(trail) <= len(moves) {
			trail = append(trail, next.to.String())
			if next.to == m.from {
				break
			}
			next, more = byFrom[next.to]
		}
		if !more || next.to != m.from || circular[m.from] {
			continue
		}
		m.fail("to", "Circular moves", fmt.Sprintf("%s would be moved to itself: %s. Remove the outdated block.",
			m.from, strings.Join(trail, " → ")))
		for at := m; !circular[at.from]; at = byFrom[at.to] {
			circular[at.from] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(moves), func(m move) bool { return circular[m.from] })
}

// checkMove compares one move with the declared jobs, and reports whether it is valid.
func (l *loader) checkMove(m move, byFrom map[jobAddress]move, named map[jobAddress]*hcl.Block) bool {
	// A move from job.x to job.x["key"] adds for_each to a job.
	if l.declares(m.from) || l.declaresMany(m.from) && !m.to.keyed {
		m.fail("from", "Moved job still exists", fmt.Sprintf("%s is still declared, at %s, so it cannot have moved to %s. Remove the job, or this block.",
			m.from, l.declaredAt(m.from), m.to))
		return false
	}
	if _, onward := byFrom[m.to]; onward || l.declares(m.to) || l.declaresMany(m.to) {
		return true
	}
	if hb := named[m.to]; hb != nil { // removed, since it is not moved
		m.fail("to", "Moved job is removed", fmt.Sprintf("%s is not declared, and it is removed at %s:%d. Write from = %s in that block, and remove this one.",
			m.to, hb.DefRange.Filename, hb.DefRange.Start.Line, m.from))
		return false
	}
	n := l.nodes[m.to.job]
	switch {
	case n == nil:
		m.fail("to", "Unknown reference", l.unknown(m.to.job, "job"))
	case !n.each:
		m.fail("to", "Unknown instance", fmt.Sprintf("%s has no for_each, so refer to it without a key.", m.to.job))
	default:
		summary, detail := l.missingInstance(m.to.job, hcl.Traversal{hcl.TraverseIndex{Key: cty.StringVal(m.to.key)}}, l.value(m.to.job))
		m.fail("to", summary, detail)
	}
	return false
}

// expanded returns valid moves one by one, in the order in which they apply: from old to
// new, so that a job gets its present address from any earlier one.
func (l *loader) expanded(moves []move, byFrom, arrivals map[jobAddress]move) []jobs.Moved {
	next := map[jobAddress]jobAddress{}
	blocks := map[jobAddress]jobs.Block{}
	arrives := map[jobAddress]bool{}
	add := func(m move, from, to jobAddress) {
		next[from], blocks[from], arrives[to] = to, m.Block, true
	}
	for _, m := range moves {
		keys, many := l.keys(m, byFrom)
		if !many {
			add(m, m.from, m.to)
		}
		for _, key := range keys {
			from, to := m.from.instance(key), m.to.instance(key)
			_, left := byFrom[from]
			_, taken := arrivals[to]
			if !left && !taken { // a block for one instance has precedence
				add(m, from, to)
			}
		}
	}
	var heads []jobAddress
	for from := range next {
		if !arrives[from] {
			heads = append(heads, from)
		}
	}
	slices.SortFunc(heads, func(a, b jobAddress) int { return strings.Compare(a.String(), b.String()) })
	var out []jobs.Moved
	for _, from := range heads {
		for {
			to, ok := next[from]
			if !ok {
				break
			}
			out = append(out, jobs.Moved{Block: blocks[from], From: from.String(), To: to.String()})
			from = to
		}
	}
	return out
}

// keys returns the keys of the instances that a move of jobs leads to, and whether the
// job has for_each.
func (l *loader) keys(m move, byFrom map[jobAddress]move) ([]string, bool) {
	for !m.from.keyed && !m.to.keyed {
		if l.declaresMany(m.to) {
			return sortedKeys(l.value(m.to.job).Type().AttributeTypes()), true
		}
		next, ok := byFrom[m.to]
		if !ok {
			break
		}
		m = next
	}
	return nil, false
}
