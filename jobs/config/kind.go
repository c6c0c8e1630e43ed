package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"prospector/internal/attribute"
)

// unknownKind reports that the first label of a block is not one of the kinds that
// the program supports. What is the type of the block, such as "source".
func (rep *reporter) unknownKind(hb *hcl.Block, address, what string, names []string) {
	all := quoted(names)
	known := all[0]
	if last := len(all) - 1; last > 0 {
		known = strings.Join(all[:last], ", ") + " and " + all[last]
	}
	rep.fail(hb.LabelRanges[0], address, "Unknown "+what+" type", fmt.Sprintf("There is no %s of type %q, only %s.%s",
		what, hb.Labels[0], known, didYouMean(nearest(hb.Labels[0], names))))
}

func quoted(names []string) []string {
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = strconv.Quote(name)
	}
	return out
}

// decode reads attributes into the variables that they are bound to, and reports
// missing and invalid ones.
func (b *block) decode(attributes []attribute.Attribute) {
	for _, a := range attributes {
		if a.Required != "" {
			b.require(map[string]string{a.Name: a.Required})
		}
		decodeOne(b, a)
	}
}

func decodeOne(b *block, a attribute.Attribute) {
	switch v := a.Value.(type) {
	case *string:
		if !b.text(a.Name, v) {
			return
		}
		if a.Choices != nil && *v != "" {
			b.choice(a.Name, a.Choices, v)
		}
		check(b, a, strconv.Quote(*v))
	case *attribute.Secret:
		decodeSecret(b, a, v)
	case *attribute.Path:
		b.path(a.Name, (*string)(v))
	case *int:
		b.integer(a.Name, a.Min, a.Max, v)
	case *uint64:
		b.unsigned(a.Name, v)
	case *float64:
		b.number(a.Name, a.Expected, a.Valid, v)
	case *bool:
		b.bool(a.Name, v)
	case *time.Duration:
		b.duration(a.Name, a.MinDuration, v)
	case *time.Time:
		b.time(a.Name, v)
	case *map[string]string:
		if b.textMap(a.Name, v) {
			check(b, a, strings.Join(quoted(sortedKeys(*v)), ", "))
		}
	default:
		panic(fmt.Sprintf("the attribute %s is bound to a %T", a.Name, a.Value))
	}
}

func decodeSecret(b *block, a attribute.Attribute, into *attribute.Secret) {
	if !isSecret(a.Name) {
		panic("secretNames lacks " + a.Name + ", so messages could show its value")
	}
	if !b.text(a.Name, (*string)(into)) {
		return
	}
	text := into.Reveal()
	if a.File && text != "" && !strings.HasPrefix(strings.TrimSpace(text), "{") {
		*into = attribute.Secret(b.graph.absolute(text))
	}
	check(b, a, "")
}

// check reports what is wrong with a decoded value, whose text messages may quote.
func check(b *block, a attribute.Attribute, text string) {
	if a.Check == nil {
		return
	}
	if p := a.Check(b.quote(a.Name, text)); p != nil {
		b.fail(p.Attribute, p.Summary, p.Detail)
	}
}
