// Package prospect says whose events are exported: it reads prospect ids from a
// file or from standard input.
//
// Its duties: to understand the usual forms of such a list, to give every id
// once, as the text that it is ("007" is not "7"), and to refuse a list that it
// cannot read with certainty, before anything is requested.
//
// Not its duties: to know whether a prospect exists, and to sort or to share out
// the ids.
package prospect

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/agext/levenshtein"
)

var (
	// ErrEmpty: the list was read without a fault and holds no id.
	ErrEmpty = errors.New("there are no prospect ids")
	// ErrColumn: the column was not named, is not there, or cannot hold ids.
	ErrColumn = errors.New("no usable column")
	// ErrID: a value cannot be a prospect id.
	ErrID = errors.New("unusable prospect id")
	// ErrFormat: the content is not of the form that the file's name promises.
	ErrFormat = errors.New("unreadable list of prospects")
)

// MaxLength is the length of the longest id that is believed, in bytes.
const MaxLength = 256

// List is a list of prospect ids. One million ids of ten bytes stay in 32 MB.
type List struct {
	// IDs are distinct, in the order in which they first stood.
	IDs []string
	// Duplicates is how often an id stood again.
	Duplicates int
}

// Load reads the whole list. The file's extension says what it is:
//
//   - .csv, .tsv: a header, then records of the same length. The ids are in
//     the column, which need not be named if it is the only one.
//   - .jsonl, .ndjson: on every line an object, whose member called column is
//     the id, or the id itself, as a string or as a whole number.
//   - .parquet: the ids are in the column, a top-level STRING, INT64 or INT32,
//     which need not be named if it is the only one.
//   - anything else: one id a line. Blank lines and those that begin with #
//     are skipped, and column has no meaning.
//
// Text is UTF-8, with or without a byte order mark, and may be compressed with
// gzip; a .gz after the extension is ignored. Space around an id is trimmed.
//
// The file "-" is stdin, which has no extension. It is JSON Lines if it begins
// with { (or, when no column is named, with a quote). Otherwise, when a column is
// named, it has a header, and is separated by tabs if the header holds one and by
// commas if not. When none is named it is one id a line.
//
// Errors wrap ErrEmpty, ErrColumn, ErrID, ErrFormat or the cause, such as
// fs.ErrNotExist, and name the file and the line (of Parquet: the row). They
// quote names of columns, but nothing else of the content. The first one ends
// the reading.
//
// While it reads, 10⁶ ids need some 100 MB: each is held once, as a string that
// the list and the index of what was seen share. Remembering hashes instead
// would cost as much and could be wrong.
func Load(file, column string, stdin io.Reader) (List, error) {
	c := collector{name: file, unit: "line", seen: make(map[string]struct{})}
	err := c.load(file, column, stdin)
	if err == nil && len(c.list.IDs) == 0 {
		err = fmt.Errorf("%s: %w; list at least one", c.name, ErrEmpty)
	}
	if err != nil {
		return List{}, fmt.Errorf("reading prospect ids from %w", err)
	}
	return c.list, nil
}

func (c *collector) load(file, column string, stdin io.Reader) error {
	if file == "-" {
		c.name = "standard input"
		if stdin == nil {
			return fmt.Errorf("%s: it is not connected; name a file", c.name)
		}
		text, err := c.text(stdin)
		if err != nil {
			return err
		}
		return c.read(sniff(text, column), text, column)
	}

	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w; check the path", file, fs.ErrNotExist)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return fmt.Errorf("%s: %w: it is a directory; name a file in it", file, ErrFormat)
	}

	name := strings.ToLower(filepath.Base(file))
	if filepath.Ext(name) == ".parquet" {
		return c.parquet(f, column)
	}
	text, err := c.text(f)
	if err != nil {
		return err
	}
	return c.read(filepath.Ext(strings.TrimSuffix(name, ".gz")), text, column)
}

func (c *collector) read(extension string, text *bufio.Reader, column string) error {
	switch extension {
	case ".csv":
		return c.separated(text, ',', column)
	case ".tsv":
		return c.separated(text, '\t', column)
	case ".jsonl", ".ndjson":
		return c.jsonLines(text, column)
	case ".parquet": // compressed as a whole: its own end could not be reached
		return fmt.Errorf("%s: %w: decompress the Parquet file first", c.name, ErrFormat)
	default:
		return c.plain(text)
	}
}

const sniffed = 64 << 10

// text takes the gzip layer and the byte order mark away.
func (c *collector) text(r io.Reader) (*bufio.Reader, error) {
	text := bufio.NewReaderSize(r, sniffed)
	if head, _ := text.Peek(2); bytes.Equal(head, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w: gzip: %w", c.name, ErrFormat, err)
		}
		text = bufio.NewReaderSize(z, sniffed)
	}
	head, _ := text.Peek(4) // a failure comes back when the content is read
	switch {
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf")):
		text.Discard(3)
	case bytes.HasPrefix(head, []byte("\xff\xfe")), bytes.HasPrefix(head, []byte("\xfe\xff")):
		return nil, fmt.Errorf("%s: %w: it is UTF-16; save it as UTF-8", c.name, ErrFormat)
	case string(head) == "PAR1":
		return nil, fmt.Errorf("%s: %w: it is Parquet; give it as a file whose name ends in .parquet", c.name, ErrFormat)
	}
	return text, nil
}

// sniff gives the extension that standard input would have.
func sniff(text *bufio.Reader, column string) string {
	head, _ := text.Peek(sniffed)
	for line := range bytes.Lines(head) {
		line = bytes.TrimSpace(line)
		switch {
		case len(line) == 0:
		case line[0] == '{', line[0] == '"' && column == "":
			return ".jsonl"
		case column != "" && bytes.IndexByte(line, '\t') >= 0:
			return ".tsv"
		case column != "":
			return ".csv"
		case line[0] == '#':
		case bytes.IndexByte(line, ',') >= 0:
			return ".csv" // which will ask for the column
		default:
			return ".txt"
		}
	}
	return ".txt"
}

// collector gathers the ids of one file.
type collector struct {
	name string // of the file, for people
	unit string // what places in it are counted in
	seen map[string]struct{}
	list List
}

// add takes the id that stands at that place, counted from 1.
func (c *collector) add(place int, id string) error {
	id = strings.TrimSpace(id)
	if _, ok := c.seen[id]; ok {
		c.list.Duplicates++
		return nil
	}
	if fault := check(id); fault != "" {
		return c.fault(place, ErrID, fault)
	}
	id = strings.Clone(id) // it may be a piece of a whole record
	c.seen[id] = struct{}{}
	c.list.IDs = append(c.list.IDs, id)
	return nil
}

// fault is an error about one place.
func (c *collector) fault(place int, kind error, detail string) error {
	return c.at(place, fmt.Errorf("%w: %s", kind, detail))
}

func (c *collector) at(place int, err error) error {
	return fmt.Errorf("%s, %s %d: %w", c.name, c.unit, place, err)
}

// check says why a trimmed id cannot be one, or "". Any other text is taken: an
// id becomes one escaped segment of a URL's path.
func check(id string) string {
	switch {
	case id == "":
		return "it is empty"
	case len(id) > MaxLength:
		return fmt.Sprintf("it has %d bytes, and at most %d are believed", len(id), MaxLength)
	case !utf8.ValidString(id):
		return "it is not UTF-8; convert the file"
	case id == "." || id == "..":
		return `"." and ".." would name another resource of the API`
	}
	for at, r := range id {
		if r == utf8.RuneError {
			return fmt.Sprintf("at its byte %d stands U+FFFD, which a wrong conversion leaves behind", at)
		}
		if !unicode.IsGraphic(r) {
			return fmt.Sprintf("at its byte %d stands the invisible character %U; remove it", at, r)
		}
	}
	return ""
}

// pick finds the column among those that there are.
func pick(column string, columns []string) (index int, err error) {
	if column == "" && len(columns) == 1 {
		return 0, nil
	}
	index = slices.Index(columns, column)
	if column == "" || index < 0 {
		return 0, missing(column, columns)
	}
	if slices.Contains(columns[index+1:], column) {
		return 0, fmt.Errorf("%w: %q is there more than once", ErrColumn, column)
	}
	return index, nil
}

// missing is the error that the column is not among those that there are.
func missing(column string, columns []string) error {
	if column == "" {
		return fmt.Errorf("%w: name the one that holds the ids; %s", ErrColumn, describe(columns))
	}
	return fmt.Errorf("%w: %q is not there%s; %s", ErrColumn, column, suggest(column, columns), describe(columns))
}

// suggest names the column that was probably meant.
func suggest(column string, columns []string) string {
	best, least := "", len(column)/3+1
	for _, c := range columns {
		d := levenshtein.Distance(strings.ToLower(column), strings.ToLower(c), nil)
		if d < least && shown(c) {
			best, least = c, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(", did you mean %q?", best)
}

const maxShown = 20

// describe lists columns. A file without a header has somebody's data in its
// place, so what does not look like a name is only counted.
func describe(columns []string) string {
	var names []string
	for _, c := range columns {
		if len(names) < maxShown && shown(c) {
			names = append(names, fmt.Sprintf("%q", c))
		}
	}
	others := len(columns) - len(names)
	switch {
	case len(columns) == 0:
		return "it has no columns"
	case len(names) == 0:
		return "it does not seem to begin with a header"
	case others > 0:
		return fmt.Sprintf("it has %s and %d more", strings.Join(names, ", "), others)
	default:
		return "it has " + strings.Join(names, ", ")
	}
}

func shown(name string) bool {
	if name == "" || len(name) > 64 || strings.ContainsAny(name, "@") || '0' <= name[0] && name[0] <= '9' {
		return false
	}
	return check(name) == ""
}
