package erase

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"unicode/utf8"
)

// An object names a prospect if it has the ID as a word: without an ASCII letter or
// digit directly before or after it. In JSON, the ID must be a complete string, so
// that the number 17 does not count as the ID 17.

// isText reports whether bytes are text. Only text can be searched for words, since
// other bytes may be compressed.
func isText(b []byte) bool { return utf8.Valid(b) && !slices.Contains(b, 0) }

// searchBlock is how many bytes are searched at a time.
const searchBlock = 1 << 20

// countWord counts how often a file has the ID as a word, unescaped or escaped as in
// JSON.
func countWord(r io.ReaderAt, size int64, id string) (count int64, err error) {
	words := [][]byte{[]byte(id)}
	if escaped, err := json.Marshal(id); err == nil && string(escaped[1:len(escaped)-1]) != id {
		words = append(words, escaped[1:len(escaped)-1])
	}
	for from := int64(0); from < size; from += searchBlock {
		for _, word := range words { // count those that begin in this block
			begin, end := max(0, from-1), min(size, from+searchBlock+int64(len(word)))
			block := make([]byte, end-begin)
			if _, err := r.ReadAt(block, begin); err != nil && !errors.Is(err, io.EOF) {
				return count, err
			}
			count += countIn(block, word, int(from-begin), int(from-begin)+searchBlock)
		}
	}
	return count, nil
}

// hasWord reports whether a text has the ID as a word.
func hasWord(text, id string) bool {
	return countIn([]byte(text), []byte(id), 0, len(text)) > 0
}

// countIn counts the occurrences of a word that begin in [first, end).
func countIn(text, word []byte, first, end int) (count int64) {
	for at := first; ; at++ {
		i := bytes.Index(text[at:], word)
		if at += i; i < 0 || at >= end {
			return count
		}
		after := at + len(word)
		if (at == 0 || !isAlphanumeric(text[at-1])) && (after == len(text) || !isAlphanumeric(text[after])) {
			count++
		}
	}
}

func isAlphanumeric(b byte) bool {
	return '0' <= b && b <= '9' || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z'
}

// countStrings counts the strings in JSON documents that equal the ID. ok is false if
// the text is not JSON.
func countStrings(text io.Reader, id string) (count int64, ok bool) {
	for d := json.NewDecoder(text); ; {
		token, err := d.Token()
		switch {
		case errors.Is(err, io.EOF):
			return count, true
		case err != nil:
			return count, false
		case token == id:
			count++
		}
	}
}
