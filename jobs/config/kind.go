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
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = strconv.Quote(name)
	}
	known := quoted[0]
	if last := len(quoted) - 1; last > 0 {
		known = strings.Join(quoted[:last], ", ") + " and " + quoted[last]
	}
	rep.fail(hb.LabelRanges[0], address, "Unknown "+what+" type", fmt.Sprintf("There is no %s of type %q, only %s.%s",
		what, hb.Labels[0], known, didYouMean(nearest(hb.Labels[0], names))))
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
		if b.text(a.Name, v) {
			check(b, a, *v)
		}
	case *attribute.Secret:
		if !isSecret(a.Name) {
			panic("secretNames lacks " + a.Name + ", so messages could show its value")
		}
		if b.text(a.Name, (*string)(v)) {
			check(b, a, "")
		}
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
		b.duration(a.Name, v)
	case *time.Time:
		b.time(a.Name, v)
	default:
		panic(fmt.Sprintf("the attribute %s is bound to a %T", a.Name, a.Value))
	}
}

// check reports what is wrong with a decoded string.
func check(b *block, a attribute.Attribute, text string) {
	if a.Check == nil {
		return
	}
	if p := a.Check(b.quote(a.Name, strconv.Quote(text))); p != nil {
		b.fail(p.Attribute, p.Summary, p.Detail)
	}
}
