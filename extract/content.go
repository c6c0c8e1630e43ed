package extract

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"prospector/internal/jsontext"
)

// transient is a problem with a page that another attempt may solve.
type transient struct{ error }

func (t transient) Unwrap() error { return t.error }

// notAnObject explains why a body is not one JSON object. end is the index of the first
// invalid byte. The error quotes nothing from the body.
func notAnObject(body []byte, end int) error {
	s := jsontext.Scanner(body)
	start := s.Space(0)
	switch {
	case start == len(s):
		return transient{errors.New("it is empty")}
	case s[start] == '{' && cutShort(body, end):
		return transient{fmt.Errorf("it ends early: after %s its JSON is incomplete", bytesOf(len(body)))}
	case s[start] == '{':
		return fmt.Errorf("its events cannot be separated: its JSON is invalid, or nested too deeply, at byte %d of %d", end, len(body))
	}
	if jsontext.IsValid(body) {
		return transient{errors.New("it is JSON, but not an object, so it has no edges")}
	}
	return notJSON{formatOf(s[start:])}
}

// notJSON is a response in another format, such as HTML.
type notJSON struct{ format string }

const (
	wideText   = "UTF-16 or UTF-32 text"
	binaryData = "binary data"
)

func (n notJSON) Error() string { return "the endpoint returns " + n.format }

func (n notJSON) advice() string {
	switch n.format {
	case wideText:
		return "check endpoint, and any proxy in between: JSON must be in UTF-8"
	case binaryData:
		return "check endpoint, and any proxy in between: compression other than gzip, deflate and zstd is not supported"
	}
	return "check endpoint: the response may come from a login page, a proxy or another service"
}

// cutShort reports whether the text, which is invalid from i on, may be the beginning
// of valid JSON.
func cutShort(text []byte, i int) bool {
	rest := string(text[i:])
	return strings.HasPrefix("true", rest) || strings.HasPrefix("false", rest) || strings.HasPrefix("null", rest)
}

// formatOf returns a name for the format of a text that is not JSON.
func formatOf(text []byte) string {
	start := bytes.ToLower(text[:min(len(text), 1024)])
	switch {
	case bytes.HasPrefix(text, []byte("\xff\xfe")), bytes.HasPrefix(text, []byte("\xfe\xff")), bytes.IndexByte(text[:min(len(text), 2)], 0) >= 0:
		return wideText
	case start[0] == '<' && (bytes.Contains(start, []byte("<html")) || bytes.Contains(start, []byte("<!doctype html"))):
		return "HTML"
	case start[0] == '<':
		return "XML or HTML"
	case utf8.Valid(text) && !bytes.ContainsFunc(start, func(r rune) bool { return r < ' ' && !strings.ContainsRune("\t\r\n", r) }):
		return "plain text"
	}
	return binaryData
}

// members collects the members of a page, or of its pageInfo, that reading pages does
// not need.
type members struct {
	count    int
	notBlank bool     // a value is not blank
	report   string   // the key that reports an error
	names    []string // the first keys that are plain words
}

// note adds a member, whose value may be any text.
func (m *members) note(key string, value []byte) {
	m.count++
	failed := reportsError(key, value)
	if failed {
		m.report = strings.ToLower(key)
	}
	m.notBlank = m.notBlank || failed || !blank(value)
	if len(m.names) < 5 && isWord(key) {
		m.names = append(m.names, key)
	}
}

// reportsError reports whether a member says that the request has failed. APIs use
// different keys for it, in different spellings.
func reportsError(key string, value []byte) bool {
	name := strings.ToLower(key)
	if !isWord(name) {
		return false
	}
	switch name = strings.ReplaceAll(name, "_", ""); name {
	case "err", "exception", "exceptions", "fault", "faults", "failed", "failure", "failures", "iserror", "haserror", "haserrors":
		return !blank(value)
	case "success", "succeeded", "successful", "ok":
		return text(value) == "false" || text(value) == "0"
	case "status", "code", "statuscode", "httpstatus", "httpcode", "httpstatuscode":
		status, err := strconv.ParseFloat(text(value), 64)
		return err == nil && status >= 400 || slices.Contains([]string{"error", "err", "fail", "failed", "failure", "fatal", "unavailable"}, text(value))
	}
	return strings.HasPrefix(name, "error") && !blank(value)
}

// text returns a value in lower case, and a string without its quotation marks.
func text(value []byte) string {
	return strings.ToLower(string(bytes.Trim(value, `"`)))
}

// fault returns why an object with these members is not a page, or nil. The text of the
// error has keys, but no values.
func (m *members) fault(hasEdges bool) error {
	switch {
	case m.report != "":
		return transient{fmt.Errorf("it reports an error under the key %q", m.report)}
	case hasEdges:
		return nil
	case len(m.names) == 0:
		return transient{errors.New("it has no edges")}
	}
	return transient{fmt.Errorf("it has no edges, but %s", strings.Join(m.names, ", "))}
}

// blank reports whether a value is null, false, 0 or empty.
func blank(value []byte) bool {
	if !jsontext.IsValid(value) {
		return false
	}
	switch s := jsontext.Scanner(value); value[0] {
	case 'n', 'f':
		return true
	case '{', '[':
		return s.Space(1) == len(s)-1
	case '"':
		return len(s) == len(`""`)
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		n, _ := strconv.ParseFloat(string(value), 64)
		return n == 0
	}
	return false
}

// isWord reports whether a key looks like the name of a field. Only then may an error
// show it, because other keys may be data.
func isWord(key string) bool {
	return key != "" && len(key) <= 30 && !strings.ContainsFunc(key, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || r == '_')
	})
}

// described adds facts about a response to an error, which help to identify the service
// that sent the response.
func described(err error, r *http.Response, size int) error {
	facts := fmt.Sprintf("status %d, %s", r.StatusCode, contentType(r.Header))
	if encoding := token(r.Header.Get("Content-Encoding")); encoding != "" {
		facts += ", encoding " + encoding
	}
	return fmt.Errorf("%w (%s, %s)", err, facts, bytesOf(size))
}

// contentType returns the media type of a response, without its parameters.
func contentType(h http.Header) string {
	value, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	if value = token(value); value == "" {
		return "no content type"
	}
	return value
}

// token returns a header value if it is short and safe to show, or "".
func token(value string) string {
	value = strings.ToLower(strings.TrimSpace(value))
	if len(value) > 60 || strings.ContainsFunc(value, func(r rune) bool {
		return !('a' <= r && r <= 'z' || '0' <= r && r <= '9' || strings.ContainsRune("/+-., ", r))
	}) {
		return ""
	}
	return value
}

// bytesOf formats a size, as in "1,234 bytes".
func bytesOf(n int) string {
	if n == 1 {
		return "1 byte"
	}
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits + " bytes"
}
