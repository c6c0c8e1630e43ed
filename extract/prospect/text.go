package prospect

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
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
		// The faults of encoding/json quote the input: they are not repeated.
		if !utf8.Valid(line) {
			return c.fault(number, ErrFormat, "it is not UTF-8; convert the file")
		}
		value := json.RawMessage(line)
		if line[0] == '{' {
			var object map[string]json.RawMessage
			if json.Unmarshal(line, &object) != nil {
				return c.fault(number, ErrFormat, "it is not one JSON value")
			}
			var ok bool
			if value, ok = object[column]; !ok {
				return c.at(number, missing(column, slices.Sorted(maps.Keys(object))))
			}
		}
		id, err := jsonID(value)
		if err != nil {
			return c.at(number, err)
		}
		return c.add(number, id)
	})
}

// jsonID gives a string's text, or the literal of a whole number: a number's
// value would lose digits, and 1e5 or 1.0 has no one spelling as an id.
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
			return "", fmt.Errorf("%w: it is a number with a fraction or an exponent; write it as a string", ErrID)
		}
		return string(value), nil
	case first == 'n':
		return "", fmt.Errorf("%w: it is null", ErrID)
	default:
		return "", fmt.Errorf("%w: it is neither a string nor a number", ErrID)
	}
}

// lines calls do for every line that is not blank, trimmed, counted from 1.
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

func (c *collector) separated(text io.Reader, comma rune, column string) error {
	r := csv.NewReader(text)
	r.Comma = comma
	r.ReuseRecord = true
	line := 0
	header, err := r.Read()
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return c.csvFault(line, err)
	}
	columns := make([]string, len(header))
	for i, name := range header {
		columns[i] = strings.TrimSpace(name)
		if !utf8.ValidString(name) {
			return c.fault(1, ErrFormat, "it is not UTF-8; convert the file")
		}
	}
	index, err := pick(column, columns)
	if err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return c.csvFault(line, err)
		}
		line, _ = r.FieldPos(index)
		if err := c.add(line, record[index]); err != nil {
			return err
		}
	}
}

func (c *collector) csvFault(line int, err error) error {
	var parse *csv.ParseError
	if !errors.As(err, &parse) {
		return c.broken(line+1, err)
	}
	detail := parse.Err.Error() // one of the package's fixed texts
	if errors.Is(err, csv.ErrFieldCount) {
		detail = "it has not as many fields as the header"
	}
	return c.fault(parse.Line, ErrFormat, detail)
}

// broken is the failure of the reading itself, which may be that of gzip.
func (c *collector) broken(line int, err error) error {
	if err == nil {
		return nil
	}
	return c.at(line, fmt.Errorf("it breaks off: %w", err))
}
