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

// noContent is the body of the page that a 204 stands for.
const noContent = `{"` + edgesKey + `":null,"` + pageInfoKey + `":{"hasNextPage":false}}`

// pageInfo is what the cursor loop needs of a page.
type pageInfo struct {
	events int    // length of edges
	more   bool   // another page is to be asked for
	cursor string // for it; "" when the page names none
}

// parsePage checks that body is a page, and reads what the loop needs. Its errors
// quote nothing of the body.
//
// A page need not be valid JSON, as long as its edges can be separated: one bad
// event costs no other. But the keys of the page and its pageInfo must be. What the
// API leaves open is decided so that no event is lost silently:
//
//   - edges that is null is an empty page, which is Silent; any other non-array is
//     an error;
//   - edges that is empty makes a Silent page too if something that is not blank
//     stands beside it or in pageInfo;
//   - an object without edges, or with a report of errors beside them or in pageInfo,
//     is an error that another attempt may not meet: see transient;
//   - a pageInfo that has members, but no hasNextPage and no endCursor, is an error:
//     where the pages end is not known;
//   - hasNextPage that is null or missing counts as true when the page has both
//     events and a cursor, else as false: at worst one request too many. Any
//     other non-boolean is an error;
//   - endCursor may be a number, which is then sent back as it was written. null,
//     "" and missing are no cursor. Another type is an error, unless the page is
//     the last;
//   - none of the four may be there twice: readers differ in which one they take.
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
		return page, errors.New("edges, pageInfo, hasNextPage or endCursor stands twice")
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

// envelope is what a page has around its events.
type envelope struct {
	edges, info field
	others      members
	events      int // length of edges
}

// openEnvelope takes a page apart. If it cannot, it returns the index of the first
// byte that is not valid, and false.
func openEnvelope(body []byte) (e envelope, end int, ok bool) {
	if end, ok = e.scan(body); !ok {
		e = envelope{}
		ok = e.separate(body)
	}
	return e, end, ok
}

// scan takes a page apart that is valid JSON and not nested too deeply, as nearly
// all are. If it is not, scan returns the index of the first byte that does not
// fit, and false.
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

// separate takes any other page apart, and reports whether that can be done. See
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

// info is pageInfo, taken apart.
type info struct {
	hasNextPage, endCursor field
	others                 members // startCursor and hasPreviousPage, which Relay has, excepted
}

// openInfo takes pageInfo apart, and reports whether it is a valid object.
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

// fault is what pageInfo says against its page: it reports an error, or it says in
// unknown words, such as has_next_page, whether there is another page.
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
	count int // how often it was read
}

// read reads the value at an index, which is inside one other; n and the results
// are those of Scanner.Value.
func (f *field) read(s jsontext.Scanner, i int, n *int) (end int, ok bool) {
	end, ok = s.Value(i, 1, n)
	f.add(s[i:end])
	return end, ok
}

func (f *field) add(raw []byte) {
	f.raw = raw
	f.count++
}

// kind is the first byte of the value, which determines its type; 0 is that of an
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

// cursor is the value as a cursor, and whether it can be one.
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

// Silent reports whether the body of a page without events does not say plainly that
// there are none: its edges are null, it stands for a 204, or it also says something
// that only its API can explain, such as a message. Such a page is no evidence that
// earlier events are gone.
func Silent(body []byte) bool {
	e, _, _ := openEnvelope(body)
	info, ok := openInfo(e.info.raw)
	return e.edges.kind() != '[' || e.others.said || !ok || info.others.said
}
