package prospect

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
)

// encodings are the encodings of lists, except for UTF-8. Without a byte order mark,
// UTF-16 has the byte order of Windows.
var encodings = map[string]encoding.Encoding{
	"utf-16":       unicode.UTF16(unicode.LittleEndian, unicode.UseBOM),
	"utf-16be":     unicode.UTF16(unicode.BigEndian, unicode.UseBOM),
	"windows-1252": charmap.Windows1252,
	"latin1":       charmap.ISO8859_1,
	"macintosh":    charmap.Macintosh,
}

const (
	sniffed = 64 << 10
	// maxText is the largest size of a list after decompression. Ten million IDs with
	// names, addresses and telephone numbers need a quarter of it.
	maxText = 4 << 30
)

// text removes compression and encoding from a list. It refuses content that is not
// text.
func (c *collector) text(r io.Reader, o Options) (*bufio.Reader, error) {
	text := bufio.NewReaderSize(r, sniffed)
	head, _ := text.Peek(sniffed) // an error occurs again when the content is read
	if unpack := compression(head); unpack != nil {
		unpacked, err := unpack(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w: it cannot be decompressed: %w", c.name, ErrFormat, err)
		}
		text = bufio.NewReaderSize(&limited{unpacked, maxText}, sniffed)
		head, _ = text.Peek(sniffed)
		if compression(head) != nil {
			return nil, fmt.Errorf("%s: %w: it is compressed twice; decompress it once", c.name, ErrFormat)
		}
	}
	if o.Encoding != "" && o.Encoding != "utf-8" && encodings[o.Encoding] == nil {
		return nil, fmt.Errorf("%s: there is no encoding %q", c.name, o.Encoding)
	}
	if what := foreign(head); what != "" {
		return nil, fmt.Errorf("%s: %w: it is %s", c.name, ErrFormat, what)
	}
	text = decoded(text, head, o.Encoding)
	head, _ = text.Peek(sniffed)
	if bytes.IndexByte(head, 0) >= 0 {
		return nil, fmt.Errorf(`%s: %w: it has NUL bytes; if it is UTF-16 without a byte order mark, set encoding = "utf-16"`, c.name, ErrFormat)
	}
	if what := markup(head); what != "" {
		return nil, fmt.Errorf("%s: %w: it is %s; export the list as CSV", c.name, ErrFormat, what)
	}
	if hasBareCR(head) {
		text = bufio.NewReaderSize(newLineFeeds(text), sniffed)
	}
	return text, nil
}

// compression returns a function that decompresses a file that begins with head, or nil.
func compression(head []byte) func(io.Reader) (io.Reader, error) {
	switch {
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		return func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) }
	case bytes.HasPrefix(head, []byte("\x28\xb5\x2f\xfd")):
		return func(r io.Reader) (io.Reader, error) {
			return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(64<<20))
		}
	}
	return nil
}

var errTooLarge = errors.New("it decompresses to more than 4 GiB; divide the list")

// limited is a reader that returns errTooLarge after left bytes.
type limited struct {
	in   io.Reader
	left int64
}

func (l *limited) Read(p []byte) (int, error) {
	n, err := l.in.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return 0, errTooLarge
	}
	return n, err
}

// foreign returns the format of a file that begins with head and cannot be a list, and
// what to do about it. It returns "" for other files.
func foreign(head []byte) string {
	const export = "; export the list as CSV"
	has := func(part string) bool { return bytes.Contains(head, []byte(part)) }
	for _, f := range []struct{ magic, what string }{
		{"PAR1", "Parquet; use it as a file, uncompressed"},
		{"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel workbook (xls)" + export},
		{"%PDF-", "a PDF document" + export},
		{`{\rtf`, "an RTF document" + export},
		{"SQLite format 3\x00", "an SQLite database" + export},
		{"Obj\x01", "an Avro file" + export},
		{"ORC", "an ORC file" + export},
		{"ARROW1", "an Arrow file" + export},
		{"BZh", "compressed with bzip2; use gzip or zstd"},
		{"\xfd7zXZ\x00", "compressed with xz; use gzip or zstd"},
		{"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it"},
		{"\x00\x00\xfe\xff", "UTF-32; save it as UTF-8"},
		{"\xff\xfe\x00\x00", "UTF-32; save it as UTF-8"},
	} {
		if !bytes.HasPrefix(head, []byte(f.magic)) || f.magic == "ORC" && isText(head) || f.magic == "BZh" && isText(head) {
			continue
		}
		return f.what
	}
	switch zip := bytes.HasPrefix(head, []byte("PK\x03\x04")) || bytes.HasPrefix(head, []byte("PK\x05\x06")); {
	case !zip:
		return ""
	case has("opendocument.spreadsheet"):
		return "an OpenDocument spreadsheet (ods)" + export
	case has(".iwa"), has("Index.zip"):
		return "a Numbers spreadsheet" + export
	case has("[Content_Types].xml"), has("xl/"), has("_rels/"):
		return "an Excel workbook (xlsx)" + export
	}
	return "a zip archive; unpack it"
}

// isText reports whether the only control characters are line ends and tabs.
func isText(head []byte) bool {
	return !slices.ContainsFunc(head, func(b byte) bool { return b < ' ' && b != '\n' && b != '\r' && b != '\t' })
}

// markup returns the markup language of a text that begins with head, or "".
func markup(head []byte) string {
	head = bytes.ToLower(bytes.TrimSpace(head))
	switch {
	case bytes.HasPrefix(head, []byte("<?xml")):
		return "XML"
	case bytes.HasPrefix(head, []byte("<")):
		return "HTML"
	}
	return ""
}

// decoded converts a text that begins with head to UTF-8.
func decoded(text *bufio.Reader, head []byte, name string) *bufio.Reader {
	if bytes.HasPrefix(head, []byte("\xef\xbb\xbf")) {
		text.Discard(3)
		return text
	}
	if bytes.HasPrefix(head, []byte("\xff\xfe")) || bytes.HasPrefix(head, []byte("\xfe\xff")) {
		name = "utf-16"
	}
	if from := encodings[name]; from != nil {
		return bufio.NewReaderSize(from.NewDecoder().Reader(text), sniffed)
	}
	return text
}

// hasBareCR reports whether a text that begins with head has a CR without LF at the end of
// a line, as old programs on the Mac write it.
func hasBareCR(head []byte) bool {
	for i, b := range head {
		if b == '\r' && i+1 < len(head) && head[i+1] != '\n' {
			return true
		}
	}
	return false
}

// lineFeeds replaces every CR that is not followed by LF with LF.
type lineFeeds struct{ in *bufio.Reader }

func newLineFeeds(in io.Reader) *lineFeeds { return &lineFeeds{bufio.NewReader(in)} }

func (l *lineFeeds) Read(p []byte) (int, error) {
	n, err := l.in.Read(p)
	for i, b := range p[:n] {
		if b != '\r' {
			continue
		}
		next := p[i+1 : n]
		if len(next) == 0 {
			next, _ = l.in.Peek(1)
		}
		if len(next) == 0 || next[0] != '\n' {
			p[i] = '\n'
		}
	}
	return n, err
}

// isParquet reports whether content is Parquet, regardless of its name.
func isParquet(f io.ReaderAt) bool {
	var magic [4]byte
	_, err := f.ReadAt(magic[:], 0)
	return err == nil && string(magic[:]) == "PAR1"
}

// read reads a text from a file with an extension.
func (c *collector) read(extension string, text *bufio.Reader, o Options) error {
	switch {
	case extension == ".csv", extension == ".tsv":
		return c.separated(text, extension, o)
	case extension == ".jsonl", extension == ".ndjson":
		return c.jsonLines(text, o.Column)
	case extension == ".json":
		return c.json(text, o.Column)
	case extension == ".parquet": // a compressed file, whose footer cannot be reached
		return fmt.Errorf("%s: %w: decompress the Parquet file first", c.name, ErrFormat)
	}
	switch first := firstByte(text); {
	case first == '[':
		return c.json(text, o.Column)
	case first == '{':
		return c.jsonLines(text, o.Column)
	case o.Delimiter != 0, o.Header != nil:
		return c.separated(text, extension, o)
	}
	return c.plain(text)
}

func firstByte(text *bufio.Reader) byte {
	head, _ := text.Peek(sniffed)
	if head = bytes.TrimSpace(head); len(head) == 0 {
		return 0
	}
	return head[0]
}

// sniff returns the extension that standard input would have as a file.
func sniff(text *bufio.Reader, o Options) string {
	head, _ := text.Peek(sniffed)
	for line := range bytes.Lines(head) {
		line = bytes.TrimSpace(line)
		switch {
		case len(line) == 0:
		case line[0] == '[':
			return ".json"
		case line[0] == '{', line[0] == '"' && o.Column == "" && o.Delimiter == 0 && o.Header == nil:
			return ".jsonl"
		case o.Column != "" || o.Delimiter != 0 || o.Header != nil:
			return ".csv"
		case line[0] == '#':
		case bytes.IndexByte(line, ',') >= 0:
			return ".csv" // reading it reports that the column must be named
		default:
			return ".txt"
		}
	}
	return ".txt"
}
