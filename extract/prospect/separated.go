package prospect

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// records reads the records of a text with columns.
type records struct {
	*collector
	csv     *csv.Reader
	text    *bounded
	skipped int // lines before the first record
	line    int // of the last record
	width   int // number of columns that may have values
	index   int // of the column of the IDs
}

func (c *collector) separated(text *bufio.Reader, extension string, o Options) error {
	r := &records{collector: c}
	delimiter := o.Delimiter
	if found := r.skipPreamble(text); found != 0 && delimiter == 0 {
		delimiter = found
	}
	if delimiter == 0 {
		delimiter = detectDelimiter(text, extension, o.Column)
	}
	r.text = &bounded{in: text}
	r.csv = csv.NewReader(r.text)
	r.csv.Comma, r.csv.FieldsPerRecord = delimiter, -1
	r.csv.TrimLeadingSpace = !unicode.IsSpace(delimiter)
	first, firstLine, err := r.next()
	if err != nil {
		return eof(err)
	}
	second, secondLine, err := r.next()
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	header, err := r.columns(first, second, o)
	if err != nil {
		return err
	}
	if !header {
		if err := r.take(firstLine, first); err != nil {
			return err
		}
	}
	if second == nil {
		return nil
	}
	if err := r.take(secondLine, second); err != nil {
		return err
	}
	r.csv.ReuseRecord = true
	for {
		record, line, err := r.next()
		if err != nil {
			return eof(err)
		}
		if err := r.take(line, record); err != nil {
			return err
		}
	}
}

func eof(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// skipPreamble skips the lines that may precede the first record: blank lines, comments,
// and the line in which Excel declares a delimiter. It returns that delimiter, or 0.
func (r *records) skipPreamble(text *bufio.Reader) (delimiter rune) {
	for {
		head, _ := text.Peek(sniffed)
		end := bytes.IndexByte(head, '\n') + 1
		line := bytes.TrimSpace(head[:end])
		declares, isDeclaration := bytes.CutPrefix(bytes.ToLower(bytes.Trim(line, `"`)), []byte("sep="))
		switch {
		case end == 0:
			return delimiter
		case isDeclaration && utf8.RuneCount(declares) <= 1 && delimiter == 0:
			if delimiter, _ = utf8.DecodeRune(declares); len(declares) == 0 {
				delimiter = '\t' // TrimSpace removed it
			}
		case len(line) > 0 && line[0] != '#':
			return delimiter
		}
		text.Discard(end)
		r.skipped++
	}
}

// detectDelimiter returns the delimiter that yields the column in the first record, or the
// delimiter that occurs most often in the record.
func detectDelimiter(text *bufio.Reader, extension, column string) rune {
	candidates := []rune{',', ';', '\t', '|'}
	if extension == ".tsv" {
		candidates = []rune{'\t', ',', ';', '|'}
	}
	head, _ := text.Peek(sniffed)
	best, most := candidates[0], 0
	for _, delimiter := range candidates {
		r := csv.NewReader(bytes.NewReader(head))
		r.Comma, r.LazyQuotes, r.TrimLeadingSpace = delimiter, true, !unicode.IsSpace(delimiter)
		fields, err := r.Read()
		if err != nil {
			continue
		}
		if column != "" && slices.ContainsFunc(fields, func(f string) bool { return strings.TrimSpace(f) == column }) {
			return delimiter
		}
		if delimiter == candidates[0] && len(fields) > 1 {
			most = len(head) // the usual delimiter, unless the column needs another one
		}
		if len(fields)-1 > most {
			best, most = delimiter, len(fields)-1
		}
	}
	if most == 0 && hasColons(head, column) {
		return ':'
	}
	return best
}

// hasColons reports whether the first line has the column, or the name of an ID, between
// colons. Colons alone are not enough, because IDs can have colons, too.
func hasColons(head []byte, column string) bool {
	line, _, _ := bytes.Cut(head, []byte("\n"))
	names := strings.Split(string(line), ":")
	return len(names) > 1 && slices.ContainsFunc(names, func(name string) bool {
		name = strings.TrimSpace(name)
		return name == column && name != "" || column == "" && namesID.MatchString(name)
	})
}

// next reads a record that is not empty. The error may be io.EOF.
func (r *records) next() (record []string, line int, err error) {
	for {
		r.text.left = maxRecord
		record, err = r.csv.Read()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				err = r.parseFault(err)
			}
			return nil, 0, err
		}
		line, _ = r.csv.FieldPos(0)
		r.line = line + r.skipped
		if slices.ContainsFunc(record, func(f string) bool { return strings.TrimSpace(f) != "" }) {
			return record, r.line, nil
		}
	}
}

func (r *records) parseFault(err error) error {
	var parse *csv.ParseError
	switch {
	case errors.Is(err, errLongRecord):
		return r.fault(r.line+1, ErrFormat, fmt.Sprintf("it is longer than %d bytes; it may have an unmatched quotation mark", maxRecord))
	case !errors.As(err, &parse):
		return r.broken(r.line+1, err)
	case parse.Line > parse.StartLine:
		return r.fault(parse.StartLine+r.skipped, ErrFormat, "the record that begins here has several lines and an unmatched quotation mark; close or remove the quotation mark")
	}
	detail := parse.Err.Error() // one of the package's fixed texts
	return r.fault(parse.Line+r.skipped, ErrFormat, detail)
}

// maxRecord is the largest size of a record in bytes.
const maxRecord = 1 << 20

var errLongRecord = errors.New("a record is too long")

// bounded reads at most left bytes, so that a csv.Reader does not need memory for a
// record of any length.
type bounded struct {
	in   io.Reader
	left int
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errLongRecord
	}
	n, err := b.in.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// take adds the ID of a record.
func (r *records) take(line int, record []string) error {
	if r.index >= len(record) {
		return r.fault(line, ErrFormat, fmt.Sprintf("it ends before column %d, which has the IDs", r.index+1))
	}
	for _, extra := range record[min(r.width, len(record)):] {
		if strings.TrimSpace(extra) != "" {
			return r.fault(line, ErrFormat, "it has more columns than the first line; quote values that contain the delimiter")
		}
	}
	id := strings.TrimSpace(record[r.index])
	if strings.HasPrefix(id, "#") {
		return r.fault(line, ErrID, "it begins with #; comments are allowed only before the first record")
	}
	return r.add(line, id)
}

// columns finds the column of the IDs, and reports whether the first record is a header.
func (r *records) columns(first, second []string, o Options) (header bool, err error) {
	r.width = len(first)
	names := make([]string, len(first))
	for i, name := range first {
		if !utf8.ValidString(name) {
			return false, r.fault(1+r.skipped, ErrFormat, notUTF8)
		}
		names[i] = strings.TrimSpace(name)
	}
	fail := func(err error) error { return fmt.Errorf("%s: %w", r.name, err) }
	if o.Header != nil && !*o.Header {
		r.index, err = r.number(o.Column, names)
		if err != nil {
			return false, fail(err)
		}
		return false, nil
	}
	if r.index, err = pick(o.Column, names); err != nil {
		if o.Header == nil && describe(names) == noHeader {
			err = fmt.Errorf("%w; if it has none, set header = false, and column to the number of the column", err)
		}
		return false, fail(err)
	}
	if o.Header != nil || o.Column != "" {
		return true, nil
	}
	below := ""
	if r.index < len(second) {
		below = strings.TrimSpace(second[r.index])
	}
	if header, err = detectHeader(names[r.index], below); err != nil {
		err = r.at(1+r.skipped, err)
	}
	return header, err
}

// number parses the number of a column, from 1. The first record determines the number
// of columns.
func (r *records) number(column string, first []string) (index int, err error) {
	if column == "" {
		if index, err = pick("", first); err != nil {
			return 0, fmt.Errorf(`%w: there are %d columns and no header; set column to the number of the one with the IDs, such as column = "1"`, ErrColumn, len(first))
		}
		return index, nil
	}
	n, err := strconv.Atoi(column)
	if err != nil || n < 1 || n > len(first) {
		return 0, fmt.Errorf("%w: without a header, column is a number from 1 to %d, not %q", ErrColumn, len(first), column)
	}
	return n - 1, nil
}

// detectHeader reports whether the only column's first value is a header. It
// compares it with the value below.
func detectHeader(first, below string) (bool, error) {
	letters := func(s string) bool { return strings.ContainsFunc(s, unicode.IsLetter) }
	digits := func(s string) bool { return strings.ContainsFunc(s, unicode.IsDigit) }
	switch name := strings.ToLower(first); {
	case looksLikeID(first):
		return false, nil
	case strings.HasSuffix(name, "id"), strings.HasSuffix(name, "ids"), strings.Contains(name, "prospect") && !digits(name):
		return true, nil
	case below == "", !isName(first), strings.ContainsFunc(first, unicode.IsSpace), letters(first) != letters(below):
		return true, nil
	case digits(first) && digits(below) && shape(first) == shape(below):
		return false, nil
	case !digits(first) && digits(below):
		return true, nil
	}
	return false, fmt.Errorf("%w: it could be the name of the column or an ID; set header = true or header = false", ErrHeader)
}

// shape replaces each sequence of digits by 9, and each sequence of letters by a.
func shape(s string) string {
	var b strings.Builder
	last := rune(0)
	for _, r := range s {
		switch {
		case unicode.IsDigit(r):
			r = '9'
		case unicode.IsLetter(r):
			r = 'a'
		}
		if r != last {
			b.WriteRune(r)
		}
		last = r
	}
	return b.String()
}
