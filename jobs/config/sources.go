package config

import (
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"prospector/internal/attribute"
	"prospector/jobs"
)

// The attributes that every source has.
var requestAttributes = []string{"page_size", "concurrency", "requests_per_second", "timeout", "max_attempts"}

func (l *loader) source(hb *hcl.Block, address string) cty.Value {
	kind := l.sourceKinds.Find(hb.Labels[0])
	if kind == nil {
		l.unknownKind(hb, address, "source", l.sourceKinds.Names())
		return cty.DynamicVal
	}
	s := jobs.Source{Kind: kind.Name, PageSize: 100, Concurrency: 8, RequestsPerSecond: kind.RequestsPerSecond,
		Timeout: 30 * time.Second, MaxAttempts: 6, Settings: kind.New()}
	attributes := s.Settings.Attributes()
	b := l.open(hb, address, append(attribute.Names(attributes), requestAttributes...))
	b.decode(attributes)
	b.integer("page_size", 1, 10_000, &s.PageSize)
	b.integer("concurrency", 1, 256, &s.Concurrency)
	b.number("requests_per_second", "a number that is 0 (no limit) or greater, up to a million",
		func(n float64) bool { return n >= 0 && n <= 1e6 }, &s.RequestsPerSecond)
	b.duration("timeout", time.Millisecond, &s.Timeout)
	b.integer("max_attempts", 1, 100, &s.MaxAttempts)
	s.Block = b.Block
	if b.failed {
		return cty.DynamicVal
	}
	l.sources[address] = s
	endpoint := cty.NullVal(cty.String)
	for _, a := range attributes {
		if text, ok := a.Value.(*string); ok && a.Name == "endpoint" {
			endpoint = b.marked(cty.StringVal(*text), "endpoint")
		}
	}
	return cty.ObjectVal(map[string]cty.Value{
		"id": cty.StringVal(address), "type": cty.StringVal(kind.Name), "name": cty.StringVal(hb.Labels[1]), "endpoint": endpoint,
	})
}
