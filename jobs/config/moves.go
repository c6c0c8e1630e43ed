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
// in the order of their application, one for each instance of a job with for_each.
func (l *loader) moves(moved, removed []*hcl.Block) ([]jobs.Moved, []jobs.Removed) {
	m := moving{loader: l, named: map[jobAddress]*hcl.Block{}, byFrom: map[jobAddress]move{}, arrivals: map[jobAddress]move{}}
	m.readMoved(moved)
	gone := m.readRemoved(removed)
	m.removeCircles()
	m.checkMoves()
	if l.diags.HasErrors() {
		return nil, gone
	}
	return m.expanded(), gone
}

// moving is the moved and removed blocks of one configuration.
type moving struct {
	loader *loader
	moves  []move
	// named has the block that moves or removes a job.
	named    map[jobAddress]*hcl.Block
	byFrom   map[jobAddress]move
	arrivals map[jobAddress]move // valid moves by their To
}

func (m *moving) readMoved(blocks []*hcl.Block) {
	for _, hb := range blocks {
		b := m.loader.unopened(hb, "moved", []string{"from", "to"})
		needs(b, "from", "to")
		from, ok := readJobAddress(b, "from")
		to, also := readJobAddress(b, "to")
		if ok && also && m.isFirst(b, hb, from) {
			next := move{b, from, to}
			m.byFrom[from], m.moves = next, append(m.moves, next)
		}
	}
}

func (m *moving) readRemoved(blocks []*hcl.Block) (gone []jobs.Removed) {
	for _, hb := range blocks {
		b := m.loader.unopened(hb, "removed", []string{"from"}, hcl.BlockHeaderSchema{Type: "lifecycle"})
		needs(b, "from")
		from, ok := readJobAddress(b, "from")
		r := jobs.Removed{Block: b.Block, From: from.String()}
		if lifecycle := b.single(); lifecycle != nil {
			m.loader.open(lifecycle, "removed", []string{"destroy"}).bool("destroy", &r.Destroy)
		}
		if !ok || !m.isFirst(b, hb, from) {
			continue
		}
		if m.declares(from) || m.declaresMany(from) {
			b.fail("from", "Removed job still exists", fmt.Sprintf("%s is still declared, at %s. Remove the job, or this block.", from, m.declaredAt(from)))
		}
		gone = append(gone, r)
	}
	slices.SortFunc(gone, func(a, b jobs.Removed) int { return strings.Compare(a.From, b.From) })
	return gone
}

// isFirst reports whether no other block moves or removes the job. Otherwise it reports
// an error about the block.
func (m *moving) isFirst(b *block, hb *hcl.Block, from jobAddress) bool {
	first := m.named[from]
	if first == nil {
		m.named[from] = hb
		return true
	}
	b.fail("from", "Duplicate declaration", fmt.Sprintf("The %s block at %s:%d already applies to %s. Keep one of the two.",
		first.Type, first.DefRange.Filename, first.DefRange.Start.Line, from))
	return false
}

// checkMoves reports moves that are not valid, and collects the others.
func (m *moving) checkMoves() {
	for _, next := range m.moves {
		if !m.isValid(next) {
			continue
		}
		if first, ok := m.arrivals[next.to]; ok {
			next.fail("to", "Two moves to one address", fmt.Sprintf("%s already moves to %s, at %s:%d. Two tables cannot become one.",
				first.from, next.to, first.Origin.Filename, first.Origin.Line))
			continue
		}
		m.arrivals[next.to] = next
	}
}

// needs reports attributes that are missing, unless one may be misspelled.
func needs(b *block, names ...string) {
	intact := !b.failed
	for _, name := range names {
		if b.attrs[name] == nil && intact {
			b.fail(name, "Missing required attribute", fmt.Sprintf("A %s block needs %s: the address that the job %s, such as job.prospect_events.",
				b.Address, name, map[string]string{"from": "had", "to": "has now"}[name]))
		}
	}
}

// readJobAddress reads an attribute that names a job. The job need not be declared.
func readJobAddress(b *block, name string) (jobAddress, bool) {
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
func (m *moving) declares(a jobAddress) bool {
	n := m.loader.nodes[a.job]
	if n == nil || n.each != a.keyed {
		return false
	}
	v := m.loader.value(a.job)
	return !n.each || !v.IsKnown() || v.Type().HasAttribute(a.key)
}

// declaresMany reports whether the address names a job with for_each.
func (m *moving) declaresMany(a jobAddress) bool {
	n := m.loader.nodes[a.job]
	return n != nil && n.each && !a.keyed
}

func (m *moving) declaredAt(a jobAddress) string {
	at := m.loader.nodes[a.job].declared
	return fmt.Sprintf("%s:%d", at.Filename, at.Start.Line)
}

// removeCircles reports moves that form a circle, each circle once, and removes them.
func (m *moving) removeCircles() {
	circular := map[jobAddress]bool{}
	for _, start := range m.moves {
		trail := []string{start.from.String()}
		next, more := start, true
		for more && len(trail) <= len(m.moves) {
			trail = append(trail, next.to.String())
			if next.to == start.from {
				break
			}
			next, more = m.byFrom[next.to]
		}
		if !more || next.to != start.from || circular[start.from] {
			continue
		}
		start.fail("to", "Circular moves", fmt.Sprintf("%s would move to itself: %s. Remove the outdated block.",
			start.from, strings.Join(trail, " → ")))
		for at := start; !circular[at.from]; at = m.byFrom[at.to] {
			circular[at.from] = true
		}
	}
	m.moves = slices.DeleteFunc(m.moves, func(next move) bool { return circular[next.from] })
}

// isValid compares one move with the declared jobs, and reports why it is not valid.
func (m *moving) isValid(next move) bool {
	// A move from job.x to job.x["key"] adds for_each to a job.
	if m.declares(next.from) || m.declaresMany(next.from) && !next.to.keyed {
		next.fail("from", "Moved job still exists", fmt.Sprintf("%s is still declared, at %s, so it cannot have moved to %s. Remove the job, or this block.",
			next.from, m.declaredAt(next.from), next.to))
		return false
	}
	if _, onward := m.byFrom[next.to]; onward || m.declares(next.to) || m.declaresMany(next.to) {
		return true
	}
	if hb := m.named[next.to]; hb != nil { // removed, since it is not moved
		next.fail("to", "Moved job is removed", fmt.Sprintf("%s is not declared, and it is removed at %s:%d. Write from = %s in that block, and remove this one.",
			next.to, hb.DefRange.Filename, hb.DefRange.Start.Line, next.from))
		return false
	}
	n := m.loader.nodes[next.to.job]
	switch {
	case n == nil:
		next.fail("to", "Unknown reference", m.loader.unknown(next.to.job, "job"))
	case !n.each:
		next.fail("to", "Unknown instance", fmt.Sprintf("%s has no for_each, so refer to it without a key.", next.to.job))
	default:
		summary, detail := m.loader.missingInstance(next.to.job, hcl.Traversal{hcl.TraverseIndex{Key: cty.StringVal(next.to.key)}}, m.loader.value(next.to.job))
		next.fail("to", summary, detail)
	}
	return false
}

// expanded returns valid moves one by one, in the order of their application: from old to
// new, so that a job gets its present address from any earlier one.
func (m *moving) expanded() []jobs.Moved {
	next := map[jobAddress]jobAddress{}
	blocks := map[jobAddress]jobs.Block{}
	arrives := map[jobAddress]bool{}
	add := func(b jobs.Block, from, to jobAddress) {
		next[from], blocks[from], arrives[to] = to, b, true
	}
	for _, one := range m.moves {
		keys, many := m.keys(one)
		if !many {
			add(one.Block, one.from, one.to)
		}
		for _, key := range keys {
			from, to := one.from.instance(key), one.to.instance(key)
			_, left := m.byFrom[from]
			_, taken := m.arrivals[to]
			if !left && !taken { // a block for one instance has precedence
				add(one.Block, from, to)
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
func (m *moving) keys(of move) ([]string, bool) {
	for !of.from.keyed && !of.to.keyed {
		if m.declaresMany(of.to) {
			return sortedKeys(m.loader.value(of.to.job).Type().AttributeTypes()), true
		}
		next, ok := m.byFrom[of.to]
		if !ok {
			break
		}
		of = next
	}
	return nil, false
}
