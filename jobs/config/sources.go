package config

import (
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"prospector/jobs"
)

// What every source takes.
var requestAttributes = []string{"page_size", "concurrency", "requests_per_second", "timeout", "max_attempts"}

func (l *loader) source(hb *hcl.Block, address string) cty.Value {
	s := jobs.Source{PageSize: 100, Concurrency: 8, Timeout: 30 * time.Second, MaxAttempts: 6}
	var b *block
	switch hb.Labels[0] {
	case "knock":
		b = l.open(hb, address, append([]string{"endpoint", "api_key"}, requestAttributes...))
		s.RequestsPerSecond = 10 // the vendor states no limit, so be polite
		b.require(map[string]string{
			"endpoint": `the address of the API, such as "https://syndication.knockrentals.com"`,
			"api_key":  "the key that the vendor gave you, best from a variable that is sensitive",
		})
		b.endpoint(&s)
	case "simulator":
		b = l.open(hb, address, append([]string{"seed", "prospects", "events", "as_of", "fault_rate", "vendor_changes"}, requestAttributes...))
		s.Simulator = b.simulator()
	default:
		l.fail(hb.LabelRanges[0], address, "Unknown source type", fmt.Sprintf(`There is no source of type %q, only "knock" and "simulator".%s`,
			hb.Labels[0], didYouMean(nearest(hb.Labels[0], []string{"knock", "simulator"}))))
		return cty.DynamicVal
	}
	b.integer("page_size", 1, 10_000, &s.PageSize)
	b.integer("concurrency", 1, 256, &s.Concurrency)
	b.number("requests_per_second", "a number that is 0 (no limit) or greater, up to a million",
		func(n float64) bool { return n >= 0 && n <= 1e6 }, &s.RequestsPerSecond)
	b.duration("timeout", &s.Timeout)
	b.integer("max_attempts", 1, 100, &s.MaxAttempts)
	s.Block = b.Block
	if b.failed {
		return cty.DynamicVal
	}
	l.sources[address] = s
	endpoint := cty.NullVal(cty.String)
	if s.Simulator == nil {
		endpoint = b.marked(cty.StringVal(s.Endpoint), "endpoint")
	}
	return cty.ObjectVal(map[string]cty.Value{
		"id": cty.StringVal(address), "type": cty.StringVal(hb.Labels[0]), "name": cty.StringVal(hb.Labels[1]), "endpoint": endpoint,
	})
}

func (b *block) simulator() *jobs.Simulator {
	s := &jobs.Simulator{Seed: 1, Prospects: 500, Events: 20_000, AsOf: time.Date(2022, 2, 1, 0, 0, 0, 0, time.UTC)}
	b.unsigned("seed", &s.Seed)
	b.integer("prospects", 1, 1_000_000_000, &s.Prospects)
	b.integer("events", 0, 2_000_000_000, &s.Events)
	b.time("as_of", &s.AsOf)
	b.number("fault_rate", "a share of requests, from 0 to less than 1", func(n float64) bool { return n >= 0 && n < 1 }, &s.FaultRate)
	b.bool("vendor_changes", &s.VendorChanges)
	return s
}

// endpoint reads the address of an API and the key for it, which is given only
// to who can keep it.
func (b *block) endpoint(s *jobs.Source) {
	var key string
	if b.text("api_key", &key) {
		switch {
		case key == "":
			b.fail("api_key", "Empty API key", "The value of api_key is an empty string: where it comes from, it is not set.")
		case strings.ContainsFunc(key, func(r rune) bool { return r < 0x21 || r > 0x7e }):
			b.fail("api_key", "Invalid API key", "The value of api_key has a space, a line break or another character that no HTTP header can carry. If it comes from a file, use trimspace(file(…)).")
		}
		s.APIKey = jobs.Secret(key)
	}
	var text string
	if !b.text("endpoint", &text) {
		return
	}
	shown := b.quote("endpoint", fmt.Sprintf("%q", text))
	wrong := func(why string) {
		b.fail("endpoint", "Invalid URL", fmt.Sprintf("The endpoint %s %s. Write it like https://syndication.knockrentals.com.", shown, why))
	}
	u, err := url.Parse(text)
	switch {
	case err == nil && u.User != nil || strings.Contains(text, "@"):
		shown = "(hidden)" // what stands before the @ is a password, often enough
		wrong("holds a user or a password: the API takes its key from api_key")
	case err != nil:
		wrong("is not a URL")
	case u.Scheme == "":
		wrong("is not absolute: https:// is missing")
	case u.Scheme != "https" && u.Scheme != "http":
		wrong("is neither https nor http")
	case u.Hostname() == "":
		wrong("names no host")
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(text, "#"):
		wrong("has a query or a fragment, which the requests could not keep")
	case u.Scheme == "http" && !loopback(u.Hostname()) && s.APIKey != "":
		b.fail("endpoint", "API key over plain HTTP", fmt.Sprintf(
			"The endpoint %s is neither https nor on this machine, so anybody on the way could read the API key. Use https.", shown))
	}
	s.Endpoint = strings.TrimRight(text, "/")
}

// loopback reports whether requests to the host stay on this machine.
func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

func (l *loader) prospectList(hb *hcl.Block, address string) cty.Value {
	b := l.open(hb, address, []string{"file", "column", "delimiter", "header", "encoding"})
	b.require(map[string]string{"file": `a path such as "prospects.csv", or "-" for standard input`})
	p := jobs.Prospects{Block: b.Block}
	if v := b.values["file"]; b.given("file") && v.RawEquals(cty.StringVal("-")) {
		p.File = "-"
	} else {
		b.path("file", &p.File)
	}
	b.text("column", &p.Column)
	b.delimiter(&p.Delimiter)
	if b.given("header") {
		p.Header = new(bool)
		b.bool("header", p.Header)
	}
	b.choice("encoding", jobs.Encodings(), &p.Encoding)
	if b.failed {
		return cty.DynamicVal
	}
	l.prospects[address] = p
	return cty.ObjectVal(map[string]cty.Value{
		"id": cty.StringVal(address), "name": cty.StringVal(hb.Labels[0]),
		"file": b.marked(cty.StringVal(p.File), "file"), "column": b.marked(cty.StringVal(p.Column), "column"),
	})
}

// delimiter reads what separates the columns of a list.
func (b *block) delimiter(into *string) {
	const expected = `one character that separates columns, such as ";" or "\t"`
	var text string
	if !b.text("delimiter", &text) {
		return
	}
	r, size := utf8.DecodeRuneInString(text)
	if size != len(text) || !separates(r) {
		b.wrong("delimiter", expected, "")
		return
	}
	*into = text
}

// separates reports whether a character can separate columns: no ID has it, and
// CSV gives it no other meaning.
func separates(r rune) bool {
	return r == '\t' || unicode.IsGraphic(r) && !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune(" \"-_", r) && r != utf8.RuneError
}
