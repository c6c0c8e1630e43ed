package transform

import "prospector/schemas"

// A survey is limited, so that neither keys that are data nor a hostile source fill the
// memory or the report. For a field beyond the limits, or with a key that is not a
// schemas.FieldName, the survey reports the object that has it. If that is the event
// itself, or if the event's type is beyond the limit, the survey only counts the event.
const (
	maxTypes  = 1000 // event types
	maxPlaces = 1000 // places of fields that no column takes, for each event type
	maxDepth  = 8    // keys in a path
)

// tree has the places of events of one type, and counts the events with values there.
type tree struct {
	root    *node
	kept    bool // the next event of the type reuses it
	events  int64
	places  int
	further int64
}

// tally counts events by the kind of their value at a place.
type tally struct {
	events [kinds]int64
	times  [kinds]schemas.TimeForms // formats that all values have
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

// place counts the fields that no column takes at one path.
type place struct {
	depth    int // number of keys in its path
	children map[string]*place
	tally    tally
	folded   int64 // the last event that was counted because of fields without a place
}

// countMisfits adds the values of the current event that do not have their column's type
// to the survey.
func (e *event) countMisfits() {
	for _, m := range e.misfits {
		m.at.mismatched.add(m.kind, func() schemas.TimeForms { return m.times })
	}
}

// count adds the current event to the survey.
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

// placeOf returns the place of a node, or nil if there is no room for it.
func (t *tree) placeOf(n *node) *place {
	switch {
	case n.unmapped != nil:
	case !n.respelled:
		n.unmapped = &place{depth: n.depth}
	default: // it belongs to the place of the node above
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

// field counts an unmapped field of an object, and returns its place if it has one.
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

// below returns the place of a key, which it adds if there is room for it.
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

// fold counts the event for the object at p, which has fields without a place.
func (t *tree) fold(p *place) {
	if p.depth == 0 {
		t.further++
	} else if p.folded != t.events {
		p.folded = t.events
		p.tally.events[anObject]++
	}
}

// count adds the event that was flattened last to the survey.
func (f *Flattener) count(row flat) {
	if !row.tree.kept {
		f.further++
		return
	}
	row.tree.count(&f.event)
}

// Survey returns how the events so far differ from the schema. It covers events that became
// rows, and events that the schema rejects.
func (f *Flattener) Survey() schemas.Survey {
	s := schemas.NewSurvey()
	s.Further = f.further
	for eventType, t := range f.trees {
		if t.events > 0 { // zero if no event has a time
			s.EventTypes[eventType] += t.events
		}
		s.Further += t.further
		t.root.addTo(&s, eventType)
	}
	return s
}

func (n *node) addTo(s *schemas.Survey, eventType string) {
	n.mismatched.addTo(s, s.Mismatched, eventType, n.path)
	if n.unmapped != nil {
		n.unmapped.addTo(s, eventType, n.path)
	}
	for _, c := range n.children {
		c.addTo(s, eventType)
	}
}

func (p *place) addTo(s *schemas.Survey, eventType, path string) {
	p.tally.addTo(s, s.Unmapped, eventType, path)
	for key, c := range p.children {
		c.addTo(s, eventType, join(path, key))
	}
}

func (t *tally) addTo(s *schemas.Survey, fields map[schemas.Field]int64, eventType, path string) {
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

// join returns the path of a field in the object at a path. The path of the event is "".
func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
