package transform

import (
	"fmt"
	"strings"
	"unicode"

	"prospector/internal/jsontext"
	"prospector/schemas"
)

// protection is how the value at a path is protected, in events of every type, in
// whatever case the keys are written, and wherever the value lands.
type protection struct {
	path   string
	policy schemas.Policy
	key    string // the id of the key of a Hash
}

// protections are those of a table, one for each path.
func protections(t schemas.Table) (all []protection) {
	for _, c := range t.Columns {
		if c.Policy == "" {
			continue
		}
		for _, path := range c.From {
			p := protection{path: path, policy: c.Policy}
			if c.Policy == schemas.Hash {
				p.key = t.HashKeyID
			}
			all = append(all, p)
		}
	}
	return all
}

// guard is a key of protected paths, with what is protected at its place and below.
// A guard matches keys regardless of case, so that a value does not escape its
// policy when the source writes "Body" instead of "body".
type guard struct {
	key    string
	policy schemas.Policy // "" where only places below are protected
	below  []*guard
}

// newGuard makes the guard of whole events.
func newGuard(protected []protection) *guard {
	root := &guard{}
	for _, p := range protected {
		g := root
		for key := range strings.SplitSeq(p.path, ".") {
			next := g.at(key)
			if next == nil {
				next = &guard{key: key}
				g.below = append(g.below, next)
			}
			g = next
		}
		g.policy = p.policy
	}
	return root
}

// at gives the guard of a key, or nil.
func (g *guard) at(key string) *guard {
	for _, b := range g.below {
		if strings.EqualFold(b.key, key) {
			return b
		}
	}
	return nil
}

// protect applies the policies to the fields of an object, before anything else
// sees them: a protected value is a text, or no field at all. A null stays, as
// there is nothing to protect.
func (e *event) protect(n *node) error {
	for i := range n.view.entries {
		field := &n.view.entries[i]
		policy := field.policy()
		switch policy {
		case "":
			continue
		case schemas.Drop:
			field.value = value{}
			continue
		}
		text, err := e.protected(policy, field.value)
		if err != nil {
			return err
		}
		if field.value, err = field.node.standIn.parse(jsontext.AppendQuoted(nil, text), 1); err != nil {
			return fmt.Errorf("a protected value is no text: %w: this is a bug of prospector", err)
		}
	}
	return nil
}

// policy is that of a field's place. What stands above protected places, and is no
// object that would lead to them, may hold what they should protect in another
// shape, so it is redacted, unless a column asks for just that.
func (f *entry) policy() schemas.Policy {
	switch {
	case f.node == nil || f.value.kind() == noKind:
		return ""
	case f.node.policy == "" && f.node.guards && f.node.column < 0 && f.value.kind() != anObject:
		return schemas.Redact
	}
	return f.node.policy
}

// protected gives the text that stands for a value, objects and arrays as a whole.
func (e *event) protected(policy schemas.Policy, v value) (text []byte, err error) {
	switch isText := v.kind() == aString; {
	case policy == schemas.Hash && isText:
		return []byte(e.key.Hash(v.string())), nil
	case policy == schemas.Hash:
		text, err = appendCanonical(nil, v)
		return []byte(e.key.Hash(text)), err
	case policy == schemas.Mask && isText:
		return []byte(mask(string(v.string()))), nil
	case policy == schemas.Mask:
		return []byte(masked), nil
	}
	return []byte(redacted), nil
}

// NewProtector gives what applies a table's policies to an event that is no row: it
// gives the event's canonical JSON, or false when readers could disagree on what is
// in it.
func NewProtector(table schemas.Table) func(event []byte) ([]byte, bool) {
	return newBuilder(table, protections(table)).protectedNode
}

// protectedNode gives the canonical JSON of a node that is no row, with the
// policies applied; nil and false if readers could disagree on what is in it, so
// that a value might be where no policy looks.
func (b *builder) protectedNode(raw []byte) ([]byte, bool) {
	var d document
	v, err := d.parse(raw, maxValues)
	if err != nil {
		return nil, false
	}
	text, err := b.appendProtected(nil, v)
	if err != nil {
		return nil, false
	}
	return text, true
}

func (b *builder) appendProtected(dst []byte, v value) (_ []byte, err error) {
	if v.kind() != anObject { // the paths lead nowhere, and yet it may hold what they should find
		return dst, errNotObject
	}
	e := event{key: b.event.key, root: compile(nil, b.protections, "")}
	if err := e.gather(e.root, v); err != nil {
		return dst, err
	}
	if dst, err = e.appendLeft(dst, e.root); len(dst) == 0 {
		dst = append(dst, "{}"...)
	}
	return dst, err
}

// reprotect says how published values become those of another table: what is
// left to protect, as what is protected alike is not protected twice, and the
// paths whose values are protected otherwise than they should be, and go. Paths
// that differ only in case are one.
func reprotect(from, to schemas.Table) (apply []protection, remove []string) {
	was, is := make(map[string]protection), make(map[string]protection)
	for _, p := range protections(from) {
		place := foldedPath(p.path)
		if o, twice := was[place]; twice && !o.same(p) {
			p.policy = "several" // an older version had one for each spelling
		}
		was[place] = p
	}
	for _, p := range protections(to) {
		place := foldedPath(p.path)
		if is[place] = p; !p.same(was[place]) {
			apply = append(apply, p)
		}
	}
	for place, p := range was {
		now := is[place]
		if !now.same(p) && now.policy != schemas.Redact && now.policy != schemas.Drop {
			remove = append(remove, p.path)
		}
	}
	return apply, remove
}

// same reports whether two protections make the same of a value.
func (p protection) same(o protection) bool { return p.policy == o.policy && p.key == o.key }

// foldedPath gives the same text for paths that strings.EqualFold takes for equal:
// each rune becomes the least of those that differ from it only in case.
func foldedPath(path string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for o := unicode.SimpleFold(r); o != r; o = unicode.SimpleFold(o) {
			least = min(least, o)
		}
		return least
	}, path)
}
