package transform

import (
	"fmt"
	"strings"
	"unicode"

	"prospector/internal/bug"
	"prospector/internal/jsontext"
	"prospector/schemas"
)

// protection is the policy for the value at a path. It applies to events of every type, in
// columns and in extra_json, regardless of the case of the keys.
type protection struct {
	path   string
	policy schemas.Policy
	key    string // the ID of the key of a Hash
}

// protections returns the protections of a table, one for each path.
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

// guard is a key of protected paths, with the policies for its place and the places below.
// A guard matches keys regardless of case, so that a value does not escape its policy when
// the source writes "Body" instead of "body".
type guard struct {
	key    string
	policy schemas.Policy // "" if only places below are protected
	below  []*guard
}

// newGuard returns the guard of the event itself.
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

// at returns the guard of a key, or nil.
func (g *guard) at(key string) *guard {
	for _, b := range g.below {
		if strings.EqualFold(b.key, key) {
			return b
		}
	}
	return nil
}

// protect applies the policies to the fields of an object, before anything else reads
// them. A protected value becomes text, or its field is dropped. A null stays unchanged.
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
		if field.value, err = field.node.substitute.parse(jsontext.AppendQuoted(nil, text), 1); err != nil {
			return fmt.Errorf("a protected value is not text: %w: %w", err, bug.ErrInternal)
		}
	}
	return nil
}

// policy returns the policy of a field's place. If there are protected places below, but
// the value is not an object, it may have the protected data in another shape. So it is
// redacted, unless a column takes exactly this value.
func (f *entry) policy() schemas.Policy {
	switch {
	case f.node == nil || f.value.kind() == noKind:
		return ""
	case f.node.policy == "" && f.node.guards && f.node.column < 0 && f.value.kind() != anObject:
		return schemas.Redact
	}
	return f.node.policy
}

// protected returns the text that replaces a value, which may be an object or an array.
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

// NewProtector returns a function that applies the policies of a table to an event that
// cannot become a row. The function returns the canonical JSON of the event, or false
// if readers could disagree on its content.
func NewProtector(table schemas.Table) func(event []byte) ([]byte, bool) {
	return newBuilder(table, protections(table)).protectedNode
}

// protectedNode returns the canonical JSON of an event that cannot become a row, with
// the policies applied. It returns nil and false if readers could disagree on the
// content, because a value might then escape the policies.
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
	if v.kind() != anObject { // it may have protected data at unknown paths
		return dst, errNotObject
	}
	e := event{key: b.event.key, root: compile(nil, b.protections, "")}
	if err := e.gather(e.root, v); err != nil {
		return dst, err
	}
	if dst, err = e.appendRemaining(dst, e.root); len(dst) == 0 {
		dst = append(dst, "{}"...)
	}
	return dst, err
}

// reprotect compares the protections of two tables, for the conversion of published values.
// apply has the protections that the values do not have yet. No value is protected twice.
// remove has the paths of values that are protected in another way, and cannot get the new
// protection. Paths that differ only in case are one path.
func reprotect(from, to schemas.Table) (apply []protection, remove []string) {
	was, is := make(map[string]protection), make(map[string]protection)
	for _, p := range protections(from) {
		place := foldedPath(p.path)
		if o, twice := was[place]; twice && !o.same(p) {
			p.policy = "several" // an older version had a policy for each spelling
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

// same reports whether two protections have the same result.
func (p protection) same(o protection) bool { return p.policy == o.policy && p.key == o.key }

// foldedPath returns the same text for paths that strings.EqualFold considers equal.
// Each rune becomes the least rune that differs from it only in case.
func foldedPath(path string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for o := unicode.SimpleFold(r); o != r; o = unicode.SimpleFold(o) {
			least = min(least, o)
		}
		return least
	}, path)
}
