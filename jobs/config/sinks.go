package config

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"prospector/internal/attribute"
	"prospector/jobs"
	"prospector/sink/store"
)

func (l *loader) sink(hb *hcl.Block, address string) cty.Value {
	kind := l.storeKind(hb, address)
	if kind == nil {
		return cty.DynamicVal
	}
	s := jobs.Sink{Location: store.Location{Kind: kind, Settings: kind.New()}}
	attributes := s.Settings.Attributes()
	b := l.open(hb, address, attribute.Names(attributes))
	b.decode(attributes)
	s.Block = b.Block
	v := map[string]cty.Value{
		"id": cty.StringVal(address), "type": cty.StringVal(kind.Name), "name": cty.StringVal(hb.Labels[1]),
		"uri": cty.StringVal(s.URI("")),
	}
	for _, name := range locationAttributes(l.storeKinds) {
		v[name] = cty.NullVal(cty.String)
	}
	for _, a := range attributes {
		if a.Auxiliary {
			continue
		}
		v[a.Name] = textOf(a)
		if len(b.marks[a.Name]) > 0 {
			b.fail(a.Name, "Sensitive location", fmt.Sprintf(
				"The %s of %s has a sensitive value. The location of a table appears in plans, in the state and in SQL, so it cannot be kept secret. If it is not a secret, use nonsensitive().", a.Name, address))
		}
	}
	if b.failed {
		return cty.DynamicVal
	}
	l.sinks[address] = s
	return cty.ObjectVal(v)
}

// textOf returns the value of an attribute that is a text, and otherwise null.
func textOf(a attribute.Attribute) cty.Value {
	switch v := a.Value.(type) {
	case *string:
		return cty.StringVal(*v)
	case *attribute.Path:
		return cty.StringVal(string(*v))
	}
	return cty.NullVal(cty.String)
}

// locationAttributes returns the names of the attributes that name places of all
// kinds, some of them possibly twice.
func locationAttributes(kinds store.Kinds) (names []string) {
	for _, kind := range kinds {
		for _, a := range kind.New().Attributes() {
			if !a.Auxiliary {
				names = append(names, a.Name)
			}
		}
	}
	return names
}

// storeKind returns the kind of store that the first label of a block names. If
// there is none, it reports that and returns nil.
func (l *loader) storeKind(hb *hcl.Block, address string) *store.Kind {
	kind := l.storeKinds.Find(hb.Labels[0])
	if kind == nil {
		l.unknownKind(hb, address, hb.Type, l.storeKinds.Names())
	}
	return kind
}
