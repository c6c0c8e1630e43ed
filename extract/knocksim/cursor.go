package knocksim

import (
	"encoding/base64"
	"strconv"
)

// A cursor is the base64 of the number of events before it, as the documented MQ== is the
// base64 of "1". A client must escape a plus and a slash, but the base64 of digits never
// has one. So two cursors in three have a suffix that adds one.
func appendCursor(b []byte, offset int) []byte {
	var text [24]byte
	t := strconv.AppendInt(text[:0], int64(offset), 10)
	if last := " ?>"[(offset+6)%7%3]; last != ' ' {
		for len(t)%3 != 2 {
			t = append(t, '.')
		}
		t = append(t, last) // here, ? becomes a slash, and > a plus
	}
	return base64.StdEncoding.AppendEncode(b, t)
}

// parseCursor parses exactly the results of appendCursor.
func parseCursor(cursor string) (offset int, ok bool) {
	var text [24]byte
	if len(cursor) > base64.StdEncoding.EncodedLen(len(text)) {
		return 0, false
	}
	n, err := base64.StdEncoding.Decode(text[:], []byte(cursor))
	if err != nil {
		return 0, false
	}
	for n > 0 && (text[n-1] < '0' || text[n-1] > '9') {
		n--
	}
	offset, err = strconv.Atoi(string(text[:n]))
	if err != nil || offset < 0 {
		return 0, false
	}
	var again [36]byte
	return offset, string(appendCursor(again[:0], offset)) == cursor
}
