package transform

import "prospector/schemas"

// What a survey tells is bounded, so that neither data used as keys nor a hostile
// source fills the memory, or the report: so many event types, for each so many
// places of fields that no column takes, and paths of so many keys. Fields beyond
// that, or whose key is no schemas.FieldName, are told of as their object; those
// of the event itself, and events of further types, are only counted.
const (
	maxTypes  = 1000
	maxPlaces = 1000
	maxDepth  = 8
)

// tree is the places of events of one type, and how many events have what there.
type tree struct {
	root    *node
	kept    bool // for the next event of the type
	events  int64
	places  int
	further int64
}

// tally counts events by the kind of value that they have at a place.
type tally struct {
	events [kinds]int64
	times  [kinds]schemas.TimeForms // of all of them; nothing while there is none
}

func (t *tally) add(k kind, times func() schemas.TimeForms) {
	switch {
	case k != aString && k != anInteger && k != aNumber:
	case t.events[k] == 0:
		t.times[k] = times()
	case t.times[k] != 0:
		t.times[k] &= times()
	}
	t.events[k]++
}

// place is where events have fields that no column takes: at a node, or below one.
type place struct {
	depth    int // how many keys its path has
	children map[string]*place
	tally    tally
	folded   int64 // the last event that was counted for fields that have no place
}

// countMisfits takes the values of the event at hand that are not of their column's
// type into the survey.
func (e *event) countMisfits() {
	for _, m := range e.misfits {
		m.at.mismatched.add(m.kind, func() schemas.TimeForms { return m.times })
	}
}

// count takes the event at hand into the survey.
func (t *tree) count(e *event) {
	t.events++
	e.countMisfits()
	for _, u := range e.unknown {
		switch f := u.field; {
		case f.node != nil && !f.node.respelled:
			t.value(t.placeOf(f.node), f.value)
		case f.place != nil:
			t.value(f.place, f.value)
		default:
			if in := t.placeOf(u.in); in != nil {
				f.place = t.field(in, f.key, f.value)
			}
		}
	}
}

// placeOf gives the place that stands for a node; nil if there is no room for it.
func (t *tree) placeOf(n *node) *place {
	switch {
	case n.unmapped != nil:
	case !n.respelled:
		n.unmapped = &place{depth: n.depth}
	default: // its parent's place has it among the fields that no path leads to
		above := t.placeOf(n.above)
		if above == nil {
			return nil
		}
		if n.unmapped = t.below(above, []byte(n.key)); n.unmapped == nil {
			t.fold(above)
		}
	}
	return n.unmapped
}

// field counts a field of an unmapped object, or an unmapped field of any, and
// gives its place, if it has one.
func (t *tree) field(of *place, key []byte, v value) *place {
	if v.kind() == noKind {
		return nil
	}
	p := t.below(of, key)
	if p == nil {
		t.fold(of)
		return nil
	}
	t.value(p, v)
	return p
}

// below gives the place of a key, which is made if there is room for it.
func (t *tree) below(of *place, key []byte) *place {
	p := of.children[string(key)]
	if p == nil && t.places < maxPlaces && of.depth < maxDepth && schemas.FieldName.Match(key) {
		if of.children == nil {
			of.children = make(map[string]*place)
		}
		p = &place{depth: of.depth + 1}
		of.children[string(key)] = p
		t.places++
	}
	return p
}

func (t *tree) value(p *place, v value) {
	switch kind := kindOf(v); {
	case kind == noKind:
	case kind != anObject || !v.hasMore():
		p.tally.add(kind, func() schemas.TimeForms { return timeFormsOf(v) })
	default:
		for key, field := range v.fields() {
			t.field(p, key, field)
		}
	}
}

// fold counts an event for an object some of whose fields have no place.
func (t *tree) fold(p *place) {
	if p.depth == 0 {
		t.further++
	} else if p.folded != t.events {
		p.folded = t.events
		p.tally.events[anObject]++
	}
}

// count takes the event that was flattened last into the survey.
func (f *Flattener) count(row flat) {
	if !row.tree.kept {
		f.further++
		return
	}
	row.tree.count(&f.event)
}

// Survey is what the events so far had beyond what the table expects. It tells of
// rows, and of events that are none because the table does not want them so.
func (f *Flattener) Survey() schemas.Survey {
	s := schemas.NewSurvey()
	s.Further = f.further
	for eventType, t := range f.trees {
		if t.events > 0 { // or all of them have no time
			s.EventTypes[eventType] += t.events
		}
		s.Further += t.further
		t.root.tell(&s, eventType)
	}
	return s
}

func (n *node) tell(s *schemas.Survey, eventType string) {
	n.mismatched.tell(s, s.Mismatched, eventType, n.path)
	if n.unmapped != nil {
		n.unmapped.tell(s, eventType, n.path)
	}
	for _, c := range n.children {
		c.tell(s, eventType)
	}
}

func (p *place) tell(s *schemas.Survey, eventType, path string) {
	p.tally.tell(s, s.Unmapped, eventType, path)
	for key, c := range p.children {
		c.tell(s, eventType, join(path, key))
	}
}

func (t *tally) tell(s *schemas.Survey, fields map[schemas.Field]int64, eventType, path string) {
	for k, n := range t.events {
		if n > 0 {
			f := schemas.Field{EventType: eventType, Path: path, Kind: kind(k).String()}
			fields[f] += n
			if t.times[k] != 0 {
				s.Times[f] = t.times[k]
			}
		}
	}
}

// join is the path of a field of the object at a path; "" is the event's.
func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
