package extract

import (
	"bytes"
	"encoding/json"
	"errors"
)

// pageInfo is what the cursor loop needs of a page.
type pageInfo struct {
	events int    // length of edges
	more   bool   // another page is to be asked for
	cursor string // for it; "" when the page names none
}

// parsePage checks that body is a page, and reads what the loop needs. Its errors
// quote nothing of the body. What the API leaves open is decided so that no event
// is lost in silence:
//
//   - edges that is null is an empty page, which is Silent; any other non-array is
//     an error;
//   - an object without edges, or with a report of errors beside them, is an error
//     that another attempt may not meet: see transient;
//   - hasNextPage that is null or missing counts as true when the page has both
//     events and a cursor, else as false: at worst one request too many. Any
//     other non-boolean is an error;
//   - endCursor may be a number, which is then sent back as it was written. null,
//     "" and missing are no cursor. Another type is an error, unless the page is
//     the last;
//   - none of the four may stand twice: readers differ in which one they take.
func parsePage(body []byte) (pageInfo, error) {
	var (
		page                pageInfo
		edges, info         field
		hasNextPage, cursor field
		top                 members
	)
	s := scanner(body)
	end, ok := s.object(s.space(0), 0, func(key string, i int) (int, bool) {
		switch key {
		case "edges":
			return edges.read(s, i, &page.events)
		case "pageInfo":
			return info.read(s, i, nil)
		}
		return top.read(s, key, i)
	})
	if end = s.space(end); !ok || end < len(body) {
		return page, notAnObject(body, end)
	}
	if err := top.fault(edges.count > 0); err != nil {
		return page, err
	}
	if info.kind() != '{' {
		return page, errors.New("it has no pageInfo object")
	}
	s = info.raw
	s.object(0, 0, func(key string, i int) (int, bool) {
		switch key {
		case "hasNextPage":
			return hasNextPage.read(s, i, nil)
		case "endCursor":
			return cursor.read(s, i, nil)
		}
		return s.value(i, 1, nil)
	})
	if edges.count > 1 || info.count > 1 || hasNextPage.count > 1 || cursor.count > 1 {
		return page, errors.New("edges, pageInfo, hasNextPage or endCursor stands twice")
	}
	if k := edges.kind(); k != '[' && k != 'n' {
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

// field is the raw value of an object's member.
type field struct {
	raw   []byte
	count int // how often it was read
}

// read takes the value at a place, which is inside of one other, and gives the place
// behind it; n and ok are as of scanner.value.
func (f *field) read(s scanner, i int, n *int) (end int, ok bool) {
	end, ok = s.value(i, 1, n)
	f.raw = s[i:end]
	f.count++
	return end, ok
}

// kind is the first byte of the value, which tells its type. A missing value is
// like null.
func (f *field) kind() byte {
	if f.count == 0 {
		return 'n'
	}
	return f.raw[0]
}

// cursor is the value as a cursor, and whether it can be one.
func (f *field) cursor() (string, bool) {
	switch k := f.kind(); {
	case k == '"':
		return unquote(f.raw), true
	case k == '-' || '0' <= k && k <= '9':
		return string(f.raw), true
	case k == 'n':
		return "", true
	}
	return "", false
}

// unquote gives the text of a raw, valid JSON string. Without escapes its bytes
// stay as they are, valid UTF-8 or not.
func unquote(raw []byte) string {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1])
	}
	var text string
	_ = json.Unmarshal(raw, &text) // cannot fail
	return text
}
