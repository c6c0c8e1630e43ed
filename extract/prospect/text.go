package prospect

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"unicode/utf8"
)

const (
	maxPlainLine = 64 << 10
	maxJSONLine  = 16 << 20
)

func (c *collector) plain(text io.Reader) error {
	return c.lines(text, maxPlainLine, func(number int, line []byte) error {
		if line[0] == '#' {
			return nil
		}
		return c.add(number, string(line))
	})
}

func (c *collector) jsonLines(text io.Reader, column string) error {
	return c.lines(text, maxJSONLine, func(number int, line []byte) error {
		// The errors of encoding/json quote the input, so they are not wrapped.
		if !utf8.Valid(line) {
			return c.fault(number, ErrFormat, notUTF8)
		}
		return c.addJSON(number, line, column)
	})
}

const notUTF8 = `it is not UTF-8; set encoding = "windows-1252" if that is the encoding of the file`

// json reads an array of values, or one value after another. The line of a value is the
// line on which it ends.
func (c *collector) json(text *bufio.Reader, column string) error {
	counted := &lineCounter{in: text}
	d := json.NewDecoder(counted)
	broken := func(err error) error {
		line := counted.at(d.InputOffset())
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
			return c.fault(line, ErrFormat, "the following text is not JSON, or is incomplete") // the error quotes the input
		}
		return c.broken(line, err)
	}
	isArray := firstByte(text) == '['
	if isArray {
		if _, err := d.Token(); err != nil {
			return broken(err)
		}
	}
	for !isArray || d.More() {
		var value json.RawMessage
		err := d.Decode(&value)
		if !isArray && errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return broken(err)
		}
		line := counted.at(d.InputOffset())
		if !utf8.Valid(value) {
			return c.fault(line, ErrFormat, notUTF8)
		}
		if err := c.addJSON(line, value, column); err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil {
		return broken(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return c.fault(counted.at(d.InputOffset()), ErrFormat, "there is more text after the array")
	}
	return nil
}

// addJSON adds a valid JSON value as an ID, or its member if it is an object.
func (c *collector) addJSON(line int, value json.RawMessage, column string) error {
	if value[0] == '{' {
		var object map[string]json.RawMessage
		if json.Unmarshal(value, &object) != nil {
			return c.fault(line, ErrFormat, "it is not one JSON value")
		}
		var ok bool
		if value, ok = object[column]; !ok {
			return c.at(line, missing(column, slices.Sorted(maps.Keys(object))))
		}
	}
	id, err := jsonID(value)
	if err != nil {
		return c.at(line, err)
	}
	return c.add(line, id)
}

// lineCounter finds the line of an offset, although the decoder reads ahead of it. It
// limits a value to about 2*maxJSONLine bytes.
type lineCounter struct {
	in    io.Reader
	read  int64
	ended int64   // the end of the last value
	ends  []int64 // the ends of lines after it
	line  int     // the line of ended, from 0
}

func (l *lineCounter) Read(p []byte) (int, error) {
	if l.read-l.ended > 2*maxJSONLine {
		return 0, fmt.Errorf("%w: a value is longer than %d bytes", ErrFormat, maxJSONLine)
	}
	n, err := l.in.Read(p)
	for i, b := range p[:n] {
		if b == '\n' {
			l.ends = append(l.ends, l.read+int64(i))
		}
	}
	l.read += int64(n)
	return n, err
}

// at returns the line of an offset, from 1. The offsets must not decrease.
func (l *lineCounter) at(offset int64) int {
	l.ended = offset
	n, _ := slices.BinarySearch(l.ends, offset)
	l.line, l.ends = l.line+n, l.ends[n:]
	return l.line + 1
}

// jsonID returns the text of a string, or an integer exactly as it is written, because
// decoding it could lose digits. It refuses 1e5 and 1.0, which have no unique spelling as
// an ID.
func jsonID(value []byte) (string, error) {
	if !json.Valid(value) {
		return "", fmt.Errorf("%w: it is not one JSON value", ErrFormat)
	}
	switch first := value[0]; {
	case first == '"':
		var id string
		err := json.Unmarshal(value, &id)
		return id, err
	case first == '-' || '0' <= first && first <= '9':
		if bytes.ContainsAny(value, ".eE") {
			return "", fmt.Errorf("%w: it is a number with a fraction or an exponent, which data frames produce from IDs; write IDs as strings", ErrID)
		}
		return string(value), nil
	case first == 'n':
		return "", fmt.Errorf("%w: it is null", ErrID)
	default:
		return "", fmt.Errorf("%w: it is neither a string nor a number", ErrID)
	}
}

// lines calls do for every line that is not blank. The lines are trimmed, and counted
// from 1.
func (c *collector) lines(text io.Reader, longest int, do func(number int, line []byte) error) error {
	scanner := bufio.NewScanner(text)
	scanner.Buffer(nil, longest)
	number := 0
	for scanner.Scan() {
		number++
		line := bytes.TrimSpace(scanner.Bytes())
		if len(line) == 0 {
			continue
		}
		if err := do(number, line); err != nil {
			return err
		}
	}
	if errors.Is(scanner.Err(), bufio.ErrTooLong) {
		return c.fault(number+1, ErrFormat, fmt.Sprintf("it is longer than %d bytes", longest))
	}
	return c.broken(number+1, scanner.Err())
}

// broken returns an error about reading the file, such as a decompression error.
func (c *collector) broken(line int, err error) error {
	if err == nil {
		return nil
	}
	return c.at(line, fmt.Errorf("it is incomplete: %w", err))
}
