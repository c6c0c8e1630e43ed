package knocksim

import (
	"encoding/base64"
	"strconv"
)

// A cursor is base64 of the number of events up to it, as the documented MQ==
// is of "1". Base64 of digits alone never has a plus or a slash, which a client
// must escape or lose, so two cursors in three are padded to end in one.
func appendCursor(b []byte, offset int) []byte {
	var text [24]byte
	t := strconv.AppendInt(text[:0], int64(offset), 10)
	if last := " ?>"[(offset+6)%7%3]; last != ' ' {
		for len(t)%3 != 2 {
			t = append(t, '.')
		}
		t = append(t, last) // ? becomes a slash there, > a plus
	}
	return base64.StdEncoding.AppendEncode(b, t)
}

// parseCursor reads what appendCursor wrote, and nothing else.
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
