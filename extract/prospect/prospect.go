// Package prospect reads lists of prospect IDs, from files, from standard input or from
// content that the caller has opened.
//
// Its duties: it understands the usual forms of such a list. It returns every ID once,
// as text ("007" is not "7"). It refuses a list that it cannot read with certainty, and a
// value that is probably not an ID: a spreadsheet can turn IDs into other values, and a
// misread list would send personal data in URLs.
//
// Not its duties: checking that a prospect exists, and sorting or dividing the IDs.
package prospect

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

var (
	// ErrEmpty: the list is valid, but has no ID.
	ErrEmpty = errors.New("there are no prospect IDs")
	// ErrColumn: the column is not specified, does not exist, or cannot have IDs.
	ErrColumn = errors.New("no usable column")
	// ErrHeader: the first line could be a header or an ID.
	ErrHeader = errors.New("unclear header")
	// ErrID: a value cannot be a prospect ID.
	ErrID = errors.New("unusable prospect ID")
	// ErrFormat: the content does not have the format that the file's name implies.
	ErrFormat = errors.New("unreadable list of prospects")
)

// List is a list of prospect IDs. One million IDs of ten bytes need 32 MB.
type List struct {
	// IDs are distinct, in the order of their first occurrence.
	IDs []string
	// Duplicates counts the repeated occurrences of IDs.
	Duplicates int
}

// Options describe the format of a list. The zero value detects everything that can be
// detected with certainty.
type Options struct {
	// Column is the name of the column, or of the member of JSON objects, that has the
	// IDs. If a list has no header, it is the number of the column, from 1.
	Column string
	// Delimiter separates the columns; 0 detects it.
	Delimiter rune
	// Header says whether the first line names the columns; nil detects it.
	Header *bool
	// Encoding is utf-8, utf-16 (without a byte order mark, little-endian), utf-16be,
	// windows-1252, latin1 or macintosh; "" is utf-8. A byte order mark overrides it.
	Encoding string
}

// Load reads a list. The extension of the file's name determines the format:
//
//   - .csv, .tsv, or any other text for which Options has a delimiter or a header:
//     records with columns. The column need not be specified if only one has a name.
//   - .jsonl, .ndjson: an ID on every line, or an object whose member called
//     Column is the ID. IDs are strings or integers.
//   - .json: an array of such values, or one such value after another.
//   - .parquet: a top-level column of type STRING, INT64 or INT32, which need not
//     be specified if it is the only one.
//   - anything else: one ID on each line. Blank lines and lines that begin with # are
//     skipped, and Column has no effect. A text that begins with { or [ is JSON.
//
// Text is decoded by Options.Encoding or its byte order mark. It may be compressed
// with gzip or Zstandard; .gz or .zst after the extension is ignored. Blanks around
// an ID are trimmed. Lines end with LF, CRLF or CR.
//
// Records with columns follow RFC 4180, with these additions. Options or a first line
// such as "sep=;" set the delimiter. Otherwise Load tries comma, semicolon, tab and
// vertical bar, and uses the one that yields the column in the first line. If the line has
// none of these, it uses a colon, provided that colons separate the name of the column.
// Comments that begin with # may precede the header. Empty records and empty columns are
// ignored. Without Options.Header, the first line is a header if it has the column. If no
// column is specified, the first line is a header unless it looks like an ID. If this is
// unclear, the error is ErrHeader.
//
// The file "-" is standard input. It has no extension, so its first line determines the
// format: it is JSON if the line begins with { or [ (or with a quote, if no column is
// specified). Otherwise it has columns if a column is specified or the line has a comma.
// All other input has one ID on each line.
//
// Errors wrap ErrEmpty, ErrColumn, ErrHeader, ErrID, ErrFormat or the cause, such as
// fs.ErrNotExist, and name the file and the line (or the row, for Parquet). They quote
// only text that is certainly the name of a column, and damaged numbers. Load stops at the
// first error.
//
// While Load reads, 10⁶ IDs need about 100 MB. Each ID is in memory once, as a string
// that the list and the index of known IDs share. Hashes would need as much memory, and
// could collide.
func Load(file string, o Options, stdin io.Reader) (List, error) {
	c := newCollector(file)
	return c.finish(c.load(file, o, stdin))
}

// LoadFrom reads a list like Load, from content. The name, such as
// "gs://bucket/prospects.csv", identifies the list in errors, and has its extension.
func LoadFrom(name string, content *io.SectionReader, o Options) (List, error) {
	c := newCollector(name)
	return c.finish(c.content(name, content, content.Size(), o))
}

// finish returns the list, given the error of reading it.
func (c *collector) finish(err error) (List, error) {
	if err == nil && len(c.list.IDs) == 0 {
		err = fmt.Errorf("%s: %w; list at least one", c.name, ErrEmpty)
	}
	if err != nil {
		return List{}, fmt.Errorf("reading prospect IDs from %w", err)
	}
	return c.list, nil
}

func (c *collector) load(file string, o Options, stdin io.Reader) error {
	if file == "-" {
		c.name = "standard input"
		if stdin == nil {
			return fmt.Errorf("%s: it is not connected; name a file", c.name)
		}
		text, err := c.text(stdin, o)
		if err != nil {
			return err
		}
		return c.read(sniff(text, o), text, o)
	}

	f, size, err := c.open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	return c.content(file, f, size, o)
}

// content reads a list from a file or an object with that path or URI.
func (c *collector) content(path string, f randomAccess, size int64, o Options) error {
	name := strings.ToLower(filepath.Base(path))
	if filepath.Ext(name) == ".parquet" || isParquet(f) {
		return c.parquet(f, size, o.Column)
	}
	text, err := c.text(f, o)
	if err != nil {
		return err
	}
	for _, compressed := range []string{".gz", ".zst", ".zstd"} {
		name = strings.TrimSuffix(name, compressed)
	}
	return c.read(filepath.Ext(name), text, o)
}

// randomAccess is content that can be read from its beginning, or at any offset.
type randomAccess interface {
	io.Reader
	io.ReaderAt
}

// open opens a regular file, and returns its size. Opening another kind of file could
// block forever.
func (c *collector) open(file string) (_ *os.File, size int64, err error) {
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, 0, fmt.Errorf("%s: %w; check the path", file, fs.ErrNotExist)
	case err != nil:
		return nil, 0, fmt.Errorf("%s: %w", file, err)
	case info.IsDir():
		return nil, 0, fmt.Errorf("%s: %w: it is a directory; name a file in it", file, ErrFormat)
	case !info.Mode().IsRegular():
		return nil, 0, fmt.Errorf(`%s: %w: it is a pipe or a device; use file = "-" and redirect it to standard input`, file, ErrFormat)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", file, err)
	}
	return f, info.Size(), nil
}

// collector collects the IDs of one file.
type collector struct {
	name string // of the file, for people
	unit string // of positions in it: "line" or "row"
	seen map[string]struct{}
	list List
}

func newCollector(name string) *collector {
	return &collector{name: name, unit: "line", seen: make(map[string]struct{})}
}

// add adds the ID at a position, counted from 1.
func (c *collector) add(place int, id string) error {
	id = strings.TrimSpace(id)
	if _, ok := c.seen[id]; ok {
		c.list.Duplicates++
		return nil
	}
	if fault := check(id); fault != "" {
		return c.fault(place, ErrID, fault)
	}
	id = strings.Clone(id) // it may be a part of a large record
	c.seen[id] = struct{}{}
	c.list.IDs = append(c.list.IDs, id)
	return nil
}

// fault returns an error about one position.
func (c *collector) fault(place int, kind error, detail string) error {
	return c.at(place, fmt.Errorf("%w: %s", kind, detail))
}

func (c *collector) at(place int, err error) error {
	return fmt.Errorf("%s, %s %d: %w", c.name, c.unit, place, err)
}
