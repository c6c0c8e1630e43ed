package extract

import (
	"errors"
	"fmt"
	"strings"

	"prospector/internal/jsontext"
)

// The envelope is that of a GraphQL connection (Relay). Only this file knows it.
const (
	edgesKey    = "edges"
	nodeKey     = "node"
	pageInfoKey = "pageInfo"
)

// Envelope implements Source.
func (c *Client) Envelope() Envelope { return Envelope{Events: edgesKey, Event: nodeKey} }

// noContent is the body of the page for a 204.
const noContent = `{"` + edgesKey + `":null,"` + pageInfoKey + `":{"hasNextPage":false}}`

// pageInfo is what the cursor loop needs from a page.
type pageInfo struct {
	events int    // length of edges
	more   bool   // there is a next page
	cursor string // of the next page; "" if the page names none
}

// parsePage checks that body is a page, and reads what the cursor loop needs. Its
// errors quote nothing from the body.
//
// A page need not be valid JSON, as long as its edges can be separated: one bad event
// does not affect the others. But the keys of the page and its pageInfo must be valid.
// Where the API is undefined, the rules ensure that no event is lost silently:
//
//   - If edges is null, the page is empty and Silent. Any other value that is not an
//     array is an error.
//   - If edges is an empty array, the page is Silent if another member of the page or
//     of pageInfo has a value that is not blank.
//   - An object without edges is an error, and so is one that reports an error next to
//     edges or in pageInfo. Another attempt may succeed: see transient.
//   - A pageInfo with members, but without hasNextPage and endCursor, is an error,
//     because it is unknown where the pages end.
//   - If hasNextPage is null or missing, it counts as true if the page has events and a
//     cursor, and otherwise as false. This costs at most one request. Any other value
//     that is not a boolean is an error.
//   - endCursor may be a number. It is sent back exactly as it was written. null, "" and
//     a missing endCursor are no cursor. Another type is an error, unless this is the
//     last page.
//   - None of the four keys may occur twice, because readers disagree on the value.
func parsePage(body []byte) (pageInfo, error) {
	e, end, ok := openEnvelope(body)
	page := pageInfo{events: e.events}
	if !ok {
		return page, notAnObject(body, end)
	}
	if err := e.others.fault(e.edges.count > 0); err != nil {
		return page, err
	}
	if e.info.kind() != '{' {
		return page, errors.New("it has no pageInfo object")
	}
	info, ok := openInfo(e.info.raw)
	if !ok {
		return page, errors.New("its pageInfo is not valid JSON")
	}
	if err := info.fault(); err != nil {
		return page, err
	}
	hasNextPage, cursor := info.hasNextPage, info.endCursor
	if e.edges.count > 1 || e.info.count > 1 || hasNextPage.count > 1 || cursor.count > 1 {
		return page, errors.New("it has edges, pageInfo, hasNextPage or endCursor twice")
	}
	if k := e.edges.kind(); k != '[' && k != 'n' {
		return page, errors.New("edges is not an array")
	}

	text, isCursor := cursor.cursor()
	page.cursor = text
	switch hasNextPage.kind() {
	case 't':
		page.more = true
	case 'f':
	case 'n':
		page.more = page.events > 0 && (text != "" || !isCursor)
	default:
		return page, errors.New("hasNextPage is not true or false")
	}
	if page.more && !isCursor {
		return page, errors.New("endCursor is not a string")
	}
	return page, nil
}

// envelope is the part of a page around its events.
type envelope struct {
	edges, info field
	others      members
	events      int // length of edges
}

// openEnvelope finds the parts of a page. If it cannot, it returns the index of the
// first invalid byte, and false.
func openEnvelope(body []byte) (e envelope, end int, ok bool) {
	if end, ok = e.scan(body); !ok {
		e = envelope{}
		ok = e.separate(body)
	}
	return e, end, ok
}

// scan finds the parts of a page that is valid JSON and not nested too deeply, as
// nearly all pages are. For another page, it returns the index of the first invalid
// byte, and false.
func (e *envelope) scan(body []byte) (end int, ok bool) {
	s := jsontext.Scanner(body)
	end, ok = s.Object(s.Space(0), 0, func(key string, i int) (int, bool) {
		switch key {
		case edgesKey:
			return e.edges.read(s, i, &e.events)
		case pageInfoKey:
			return e.info.read(s, i, nil)
		}
		end, ok := s.Value(i, 1, nil)
		e.others.note(key, s[i:end])
		return end, ok
	})
	end = s.Space(end)
	return end, ok && end == len(body)
}

// separate finds the parts of any other page, and reports whether this is possible. See
// jsontext.Members.
func (e *envelope) separate(body []byte) bool {
	all, ok := jsontext.Members(body)
	if !ok {
		return false
	}
	for text, value := range all {
		switch key := jsontext.Unquote(text); key {
		case edgesKey:
			e.edges.add(value)
		case pageInfoKey:
			e.info.add(value)
		default:
			e.others.note(key, value)
		}
	}
	if e.edges.kind() != '[' {
		return e.edges.count == 0 || jsontext.IsValid(e.edges.raw)
	}
	edges, ok := jsontext.Elements(e.edges.raw)
	if ok {
		for range edges {
			e.events++
		}
	}
	return ok
}

// info has the parts of pageInfo.
type info struct {
	hasNextPage, endCursor field
	others                 members // except for startCursor and hasPreviousPage, which are part of Relay
}

// openInfo finds the parts of pageInfo, and reports whether it is a valid object.
func openInfo(raw []byte) (f info, ok bool) {
	s := jsontext.Scanner(raw)
	end, ok := s.Object(0, 0, func(key string, i int) (int, bool) {
		switch key {
		case "hasNextPage":
			return f.hasNextPage.read(s, i, nil)
		case "endCursor":
			return f.endCursor.read(s, i, nil)
		}
		end, ok := s.Value(i, 1, nil)
		if key != "startCursor" && key != "hasPreviousPage" {
			f.others.note(key, s[i:end])
		}
		return end, ok
	})
	return f, ok && end == len(s)
}

// fault returns why pageInfo cannot be used: it reports an error, or only unknown keys,
// such as has_next_page, say whether there is another page.
func (f *info) fault() error {
	if f.others.report != "" {
		return f.others.fault(true)
	}
	if f.hasNextPage.kind() != 'n' || f.endCursor.kind() != 'n' || f.others.count == 0 {
		return nil
	}
	if len(f.others.names) == 0 {
		return errors.New("its pageInfo has neither hasNextPage nor endCursor, but other keys")
	}
	return fmt.Errorf("its pageInfo has %s, but neither hasNextPage nor endCursor", strings.Join(f.others.names, ", "))
}

// field is the raw value of an object's member.
type field struct {
	raw   []byte
	count int // how often the member occurs
}

// read reads the value at an index, which is nested in one other value. n and the
// results are those of Scanner.Value.
func (f *field) read(s jsontext.Scanner, i int, n *int) (end int, ok bool) {
	end, ok = s.Value(i, 1, n)
	f.add(s[i:end])
	return end, ok
}

func (f *field) add(raw []byte) {
	f.raw = raw
	f.count++
}

// kind returns the first byte of the value, which determines its type, or 0 for an
// empty text. A missing value is like null.
func (f *field) kind() byte {
	switch {
	case f.count == 0:
		return 'n'
	case len(f.raw) == 0:
		return 0
	}
	return f.raw[0]
}

// cursor returns the value as a cursor, and whether it can be one.
func (f *field) cursor() (string, bool) {
	switch k := f.kind(); {
	case k == '"':
		return jsontext.Unquote(f.raw), true
	case k == '-' || '0' <= k && k <= '9':
		return string(f.raw), true
	case k == 'n':
		return "", true
	}
	return "", false
}

// Silent implements Source. The body of a page does not say clearly that there are no
// events in these cases: edges is null, the page is for a 204, or it has other content
// that only the API can explain, such as a message.
func (c *Client) Silent(body []byte) bool {
	e, _, _ := openEnvelope(body)
	info, ok := openInfo(e.info.raw)
	return e.edges.kind() != '[' || e.others.notBlank || !ok || info.others.notBlank
}
