package prospect

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/klauspost/compress/zstd"
)

func zstandard(text string) string {
	var b bytes.Buffer
	z, _ := zstd.NewWriter(&b)
	io.WriteString(z, text)
	z.Close()
	return b.String()
}

// utf16Of returns a text in UTF-16, without a byte order mark.
func utf16Of(text string, bigEndian bool) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(text)) {
		if bigEndian {
			b = append(b, byte(u>>8), byte(u))
		} else {
			b = append(b, byte(u), byte(u>>8))
		}
	}
	return string(b)
}

func no() *bool  { return new(bool) }
func yes() *bool { b := true; return &b }

// Lists in the formats that spreadsheets and other programs write.
func TestLoadForms(t *testing.T) {
	const bom = "\xef\xbb\xbf"
	for _, test := range []struct {
		name    string
		file    string
		options Options
		content string
		ids     []string
	}{
		{"no header", "p.csv", Options{}, "1001\n1002\n1003\n", []string{"1001", "1002", "1003"}},
		{"no header, of UUIDs", "p.csv", Options{}, "e5e42ae3-a3fa\n1d5f12aa-0000\n", []string{"e5e42ae3-a3fa", "1d5f12aa-0000"}},
		{"no header, of codes of one shape", "p.csv", Options{}, "A-1001\nB-22\n", []string{"A-1001", "B-22"}},
		{"no header, a single ID", "p.csv", Options{}, "1001", []string{"1001"}},
		{"no header, empty columns", "p.csv", Options{}, "1001,,\n1002,,\n", []string{"1001", "1002"}},
		{"a header above codes", "p.csv", Options{}, "prospect_id\nA1\n", []string{"A1"}},
		{"a header above words", "p.csv", Options{}, "Prospect ID\nabc\n", []string{"abc"}},
		{"a header above numbers", "p.csv", Options{}, "leads2024\n1001\n", []string{"1001"}},
		{"a header of words", "p.csv", Options{}, "The lead\nabc\n", []string{"abc"}},
		{"a header that is declared", "p.csv", Options{Header: yes()}, "1001\n1002\n", []string{"1002"}},
		{"no header, declared", "p.csv", Options{Header: no()}, "abc\ndef\n", []string{"abc", "def"}},
		{"no header, a number for the column", "p.csv", Options{Header: no(), Column: "2"}, "Ann,1001\nBo,1002\n", []string{"1001", "1002"}},
		{"no header, stdin", "-", Options{Header: no(), Column: "2"}, "Ann;1001\nBo;1002\n", []string{"1001", "1002"}},
		{"one per line, with a header", "p.txt", Options{Header: yes()}, "id\n1001\n", []string{"1001"}},

		{"semicolons", "p.csv", Options{Column: "id"}, "id;name\n1001;Ann, the first\n", []string{"1001"}},
		{"semicolons, declared", "p.csv", Options{Column: "id", Delimiter: ';'}, "id;name, first\n1001;Ann\n", []string{"1001"}},
		{"semicolons, with commas in another name", "p.csv", Options{Column: "id"}, "id;name, first;x, y\n1001;Ann;\n", []string{"1001"}},
		{"tabs", "p.csv", Options{Column: "id"}, "id\tname\n1001\tAnn\n1002\t\n\t\n", []string{"1001", "1002"}},
		{"tabs, the first column empty", "p.tsv", Options{Column: "id"}, "name\tid\n\t1001\n", []string{"1001"}},
		{"vertical bars", "p.csv", Options{Column: "id"}, "name|id\nAnn|1001\n", []string{"1001"}},
		{"commas in a .tsv", "p.tsv", Options{Column: "id"}, "name,id\nAnn,1001\n", []string{"1001"}},
		{"another delimiter", "p.csv", Options{Column: "id", Delimiter: '^'}, "name^id\nAnn^1001\n", []string{"1001"}},
		{"one per line, with a delimiter", "p.txt", Options{Column: "id", Delimiter: ';'}, "name;id\nAnn;1001\n", []string{"1001"}},
		{"colons", "p.csv", Options{Column: "id"}, "name:id\nAnn:1001\n", []string{"1001"}},
		{"colons in IDs", "p.csv", Options{Column: "id"}, "id\nurn:1\nurn:2\n", []string{"urn:1", "urn:2"}},
		{"IDs like dates", "p.txt", Options{}, "12-34-56\n1-2-3\n99.99.9999\njan-x\n2022-13-01\n10-20-1800\n", []string{"12-34-56", "1-2-3", "99.99.9999", "jan-x", "2022-13-01", "10-20-1800"}},
		{"Excel declares the delimiter", "p.csv", Options{Column: "id"}, "sep=;\r\nname;id\r\nAnn;1001\r\n", []string{"1001"}},
		{"Excel declares a tab", "p.csv", Options{Column: "id"}, "\"sep=\t\"\nname\tid\nAnn\t1001\n", []string{"1001"}},

		{"empty columns and records", "p.csv", Options{}, "prospect_id,,\n1001,,\n\n1002\n,,\n , ,\n1003,,,,\n", []string{"1001", "1002", "1003"}},
		{"an index without a name", "p.csv", Options{}, ",prospect_id\n0,1001\n1,1002\n", []string{"1001", "1002"}},
		{"comments before the header", "p.csv", Options{Column: "id"}, "# exported, today\n\n#\nid,name\n1001,Ann\n", []string{"1001"}},
		{"blanks before quotes", "p.csv", Options{Column: "id"}, "name, \"id\"\nAnn,  \"1001\"\n", []string{"1001"}},
		{"carriage returns", "p.csv", Options{Column: "id"}, "id,name\r1001,Ann\r1002,Bo", []string{"1001", "1002"}},
		{"carriage returns, one per line", "p.txt", Options{}, "1001\r1002\r\n1003\r", []string{"1001", "1002", "1003"}},
		{"CRLF", "p.csv", Options{Column: "id"}, "id,name\r\n1001,Ann\r\n", []string{"1001"}},
		{"duplicate names of other columns", "p.csv", Options{Column: "id"}, "id,x,x\n1001,,\n", []string{"1001"}},
		{"leading zeros, and large numbers", "p.csv", Options{Column: "id"}, "id\n007\n9007199254740993\n123456789012345678901\n", []string{"007", "9007199254740993", "123456789012345678901"}},
		{"signs that IDs can have", "p.csv", Options{Column: "id"}, "id\na-b_c.d:e/f~g\n1e5\n12E45\nv1.2.3\nurn:x:1\n-1\nA+B=\n", []string{"a-b_c.d:e/f~g", "1e5", "12E45", "v1.2.3", "urn:x:1", "-1", "A+B="}},

		{"a JSON array", "p.json", Options{}, "[\"1001\",\"1002\"]", []string{"1001", "1002"}},
		{"a JSON array of numbers", "p.json", Options{}, bom + " [1001, 9007199254740993, 123456789012345678901234567890]", []string{"1001", "9007199254740993", "123456789012345678901234567890"}},
		{"a JSON array of objects", "p.json", Options{Column: "id"}, "[\n {\"id\": 1001, \"n\": [1]},\n {\"id\": \"1002\"}\n]\n", []string{"1001", "1002"}},
		{"JSON objects over several lines", "p.json", Options{Column: "id"}, "{\n\"id\": 1001\n}\n{\n\"id\":\"1002\"}", []string{"1001", "1002"}},
		{"JSON lines in a .json", "p.json", Options{}, "\"1001\"\n1002\n", []string{"1001", "1002"}},
		{"a JSON array under another name", "p.txt", Options{}, "\n[\"1001\"]", []string{"1001"}},
		{"JSON lines under another name", "p.txt", Options{Column: "id"}, "{\"id\":1}\n{\"id\":2}", []string{"1", "2"}},
		{"a JSON array, stdin", "-", Options{}, "[1001]", []string{"1001"}},
		{"a JSON array that is long", "p.json", Options{}, "[" + strings.Repeat("1,\n", 100_000) + "2]", []string{"1", "2"}},

		{"gzip", "p.csv.gz", Options{}, gzipped("prospect_id\n1001\n"), []string{"1001"}},
		{"zstd", "p.csv.zst", Options{}, zstandard("prospect_id\n1001\n"), []string{"1001"}},
		{"zstd, stdin", "-", Options{}, zstandard("1001\n1002"), []string{"1001", "1002"}},
		{"JSON in gzip", "p.json.gz", Options{}, gzipped("[1001]"), []string{"1001"}},

		{"UTF-16", "p.csv", Options{Column: "näme"}, "\xff\xfe" + utf16Of("näme\tx\r\n1001\tü\r\n", false), []string{"1001"}},
		{"UTF-16, big-endian", "p.txt", Options{}, "\xfe\xff" + utf16Of("1001\n1002\n", true), []string{"1001", "1002"}},
		{"UTF-16 without a mark", "p.csv", Options{Encoding: "utf-16"}, utf16Of("id\n1001\n", false), []string{"1001"}},
		{"UTF-16, big-endian, without a mark", "p.csv", Options{Encoding: "utf-16be"}, utf16Of("id\n1001\n", true), []string{"1001"}},
		{"UTF-16 JSON", "p.json", Options{}, "\xff\xfe" + utf16Of("[1001]", false), []string{"1001"}},
		{"windows-1252", "p.csv", Options{Column: "Größe", Encoding: "windows-1252"}, "Gr\xf6\xdfe;id\n1001;\x80\n", []string{"1001"}},
		{"latin1", "p.txt", Options{Encoding: "latin1"}, "Zo\xeb\n", []string{"Zoë"}},
		{"macintosh", "p.txt", Options{Encoding: "macintosh"}, "Zo\x91\r1\r", []string{"Zoë", "1"}},
		{"a mark that contradicts the option", "p.txt", Options{Encoding: "windows-1252"}, bom + "Zoë\n", []string{"Zoë"}},
		{"other columns in an unknown encoding", "p.csv", Options{Column: "id"}, "id,name\n1001,Zo\xeb\n", []string{"1001"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := loadForm(t, test.file, test.options, test.content)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got.IDs, test.ids) {
				t.Errorf("the IDs are %q, want %q", got.IDs, test.ids)
			}
		})
	}
}

func loadForm(t *testing.T, name string, o Options, content string) (List, error) {
	t.Helper()
	if name == "-" {
		return Load("-", o, strings.NewReader(content))
	}
	return Load(file(t, name, content), o, nil)
}

// A list that probably does not have IDs is refused. The error has the position, the
// problem and what to do, but no personal data.
func TestLoadRefusesForms(t *testing.T) {
	zip := func(name string) string {
		return "PK\x03\x04\x14\x00\x00\x00\x08\x00" + strings.Repeat("\x00", 16) + name
	}
	for _, test := range []struct {
		name    string
		file    string
		options Options
		content string
		kind    error
		text    string
	}{
		{"semicolons, one per line", "p.txt", Options{}, "1001;SECRET\n", ErrID, `line 1: unusable prospect ID: its byte 5 is ";", which separates columns or thousands; if it separates columns, set delimiter = ";"`},
		{"semicolons, where commas are declared", "p.csv", Options{Delimiter: ',', Header: yes()}, "id;name\n1001;SECRET\n", ErrID, `line 2: unusable prospect ID: its byte 5 is ";"`},
		{"no header, several columns", "p.csv", Options{}, "1001,SECRET\n", ErrColumn, "it does not seem to begin with a header; if it has none, set header = false, and column to the number of the column"},
		{"no header, a named column", "p.csv", Options{Column: "id"}, "1001\n1002\n", ErrColumn, "set header = false"},
		{"no header, declared, several columns", "p.csv", Options{Header: no()}, "1001,SECRET\n", ErrColumn, `set column to the number`},
		{"no header, declared, a name", "p.csv", Options{Header: no(), Column: "id"}, "1001,SECRET\n", ErrColumn, `without a header, column is a number from 1 to 2, not "id"`},
		{"no header, declared, too large a number", "p.csv", Options{Header: no(), Column: "3"}, "1001,SECRET\n", ErrColumn, `from 1 to 2, not "3"`},
		{"perhaps a header", "p.csv", Options{}, "abc\ndef\n", ErrHeader, "line 1: unclear header: it could be the name of the column or an ID; set header = true or header = false"},
		{"perhaps a header, of codes", "p.csv", Options{}, "A1\nB22-x\n", ErrHeader, "line 1"},
		{"a header alone", "p.csv", Options{}, "prospect_id\n", ErrEmpty, ""},

		{"Excel's scientific notation", "p.csv", Options{Column: "id"}, "id,name\n1.23457E+11,SECRET\n", ErrID, "line 2: unusable prospect ID: 1.23457E+11 is a number that a spreadsheet has shortened, so digits of the ID are lost; export the list again with the column formatted as text"},
		{"scientific notation with a comma", "p.csv", Options{Column: "id"}, "id;name\n1,23E+11;SECRET\n", ErrID, "1,23E+11 is a number that a spreadsheet has shortened"},
		{"scientific notation without a fraction", "p.csv", Options{Column: "id"}, "id\n1e+05\n", ErrID, "line 2"},
		{"scientific notation in JSON", "p.json", Options{}, "[\"1\",\n\"1E+11\"]", ErrID, "line 2: unusable prospect ID: 1E+11 is a number"},
		{"a fraction", "p.csv", Options{Column: "id"}, "id,name\n1001.0,SECRET\n", ErrID, "line 2: unusable prospect ID: 1001.0 is a number with a fraction"},
		{"a fraction, one per line", "p.txt", Options{}, "1001\n1002.\n", ErrID, "line 2: unusable prospect ID: 1002. is"},
		{"a fraction in JSON", "p.json", Options{}, "[1001,\n1002.0]", ErrID, "line 2: unusable prospect ID: it is a number with a fraction"},
		{"a fraction in a JSON text", "p.jsonl", Options{}, `"1001.0"`, ErrID, "1001.0 is a number with a fraction"},
		{"thousands", "p.csv", Options{Column: "id"}, "id\n\"1,001\"\n", ErrID, `its byte 2 is ","`},
		{"thousands with blanks", "p.txt", Options{}, "1 001\n", ErrID, "its byte 2 is a blank"},
		{"a name", "p.txt", Options{}, "SECRET Person\n", ErrID, "is a blank"},
		{"an e-mail address", "p.txt", Options{}, "secret@example.com\n", ErrID, "e-mail address"},
		{"a telephone number", "p.txt", Options{}, "+12065550123\n", ErrID, "telephone"},
		{"an apostrophe", "p.csv", Options{Column: "id"}, "id\n'1001\n", ErrID, "apostrophe"},
		{"a formula", "p.csv", Options{Column: "id"}, "id\n\"=\"\"1001\"\"\"\n", ErrID, "it is a formula such as"},
		{"a date", "p.txt", Options{}, "13.01.2022\n", ErrID, "it is a date"},
		{"an American date", "p.txt", Options{}, "1/13/2022\n", ErrID, "it is a date"},
		{"a date in ISO 8601", "p.txt", Options{}, "2022-01-13\n", ErrID, "it is a date"},
		{"a month", "p.csv", Options{Column: "id"}, "id\nJan-22\n", ErrID, "it is a date"},
		{"a day", "p.csv", Options{Column: "id"}, "id\n13-Jan\n", ErrID, "it is a date"},
		{"a URL", "p.txt", Options{}, "https://example.com/SECRET\n", ErrID, "it is a URL"},
		{"a path", "p.txt", Options{}, "/SECRET\n", ErrID, "it is a path"},
		{"a path that leads out", "p.txt", Options{}, "a/../SECRET\n", ErrID, "it is a path"},
		{"fullwidth digits", "p.txt", Options{}, "\uff11\uff12\n", ErrID, "U+FF11, a digit that is not one of 0 to 9"},
		{"a name in place of the header", "p.csv", Options{Column: "id"}, "Secret\nJones\n", ErrColumn, "does not seem to begin with a header"},
		{"names in place of the header", "p.csv", Options{Column: "id"}, "Ann Secret,Secret\nx,y\n", ErrColumn, "does not seem to begin with a header"},
		{"a name as a key", "p.json", Options{Column: "id"}, `[{"Ann Secret":1}]`, ErrColumn, "no column"},
		{"colons, no column", "p.csv", Options{}, "prospect_id:name\n1001:SECRET\n", ErrColumn, `it has "prospect_id", "name"`},
		{"NULL", "p.csv", Options{Column: "id"}, "id\nNULL\n", ErrID, "missing value"},
		{"N/A", "p.csv", Options{Column: "id"}, "id\n1\nN/A\n", ErrID, "line 3"},
		{"nan", "p.txt", Options{}, "nan\n", ErrID, "missing value"},
		{"Excel's N/A", "p.csv", Options{Column: "id"}, "id\n1\n#N/A\n", ErrID, "begins with #"},
		{"a comment after the header", "p.csv", Options{Column: "id"}, "id\n1\n#2\n", ErrID, "line 3: unusable prospect ID: it begins with #"},
		{"signs alone", "p.txt", Options{}, "--\n", ErrID, "neither a letter nor a digit"},
		{"brackets", "p.txt", Options{}, "1001]\n", ErrID, "an ID cannot contain"},
		{"NUL bytes", "p.csv", Options{Column: "id"}, "id\n10\x0001\n", ErrFormat, "NUL bytes"},
		{"UTF-16 without a mark", "p.csv", Options{Column: "id"}, utf16Of("id\n1\n", false), ErrFormat, `set encoding = "utf-16"`},
		{"NUL bytes in an ID", "p.txt", Options{}, strings.Repeat("#\n", sniffed) + "10\x0001\n", ErrID, "U+0000"},
		{"half a character of UTF-16", "p.txt", Options{}, "\xff\xfe" + utf16Of("1", false) + "\x00\xd8\n\x00", ErrID, "U+FFFD"},
		{"a header in an unknown encoding", "p.csv", Options{Column: "id"}, "id,Zo\xeb\n1,2\n", ErrFormat, `encoding = "windows-1252"`},
		{"a short record", "p.csv", Options{Column: "id"}, "name,id\nSECRET\n", ErrFormat, "line 2: unreadable list of prospects: it ends before column 2, which has the IDs"},
		{"a long record", "p.csv", Options{Column: "id"}, "id,name\n1," + strings.Repeat("SECRET", 200_000) + "\n", ErrFormat, "line 2: unreadable list of prospects: it is longer than 1048576 bytes"},
		{"a long first record", "p.csv", Options{Column: "id"}, strings.Repeat("SECRET,", 200_000) + "\n", ErrFormat, "line 1: unreadable list of prospects: it is longer than 1048576 bytes"},
		{"an unmatched quote in a long record", "p.csv", Options{Column: "id"}, "id,name\n1,\"" + strings.Repeat("SECRET\n", 200_000), ErrFormat, "line 2: unreadable list of prospects: it is longer than 1048576 bytes"},
		{"an unmatched quote", "p.csv", Options{Column: "id"}, "id,name\n1,a\n2,\"SECRET\n3,b\n4,c\n", ErrFormat, "line 3: unreadable list of prospects: the record that begins here"},
		{"a quote that is closed too late", "p.csv", Options{Column: "id"}, "id,name\n1,\"SECRET\n2,\"b\"\n", ErrFormat, "line 2: unreadable list of prospects: the record that begins here"},
		{"an unquoted comma", "p.csv", Options{Column: "id"}, "name,id\nSECRET, Ann,1001\n", ErrFormat, "line 2: unreadable list of prospects: it has more columns"},

		{"a JSON array that is cut off", "p.json", Options{}, "[\"1001\",\n\"SEC", ErrFormat, "line 1: unreadable list of prospects: the following text is not JSON, or is incomplete"},
		{"JSON that is cut off", "p.json", Options{}, "[\"1001\"", ErrFormat, "is incomplete"},
		{"two JSON arrays", "p.json", Options{}, "[\"1001\",\"SECRET\"]\n[\"1002\",\"SECRET\"]", ErrFormat, "there is more text after the array"},
		{"arrays in a JSON array", "p.json", Options{}, "[[\"1001\",\"SECRET\"]]", ErrID, "neither a string nor a number"},
		{"a JSON array of objects, no column", "p.json", Options{}, "[{\"id\":1}]", ErrColumn, `it has "id"`},
		{"null in a JSON array", "p.json", Options{}, "[1,\n\n null]", ErrID, "line 3: unusable prospect ID: it is null"},
		{"an empty JSON array", "p.json", Options{}, "[]", ErrEmpty, ""},
		{"an empty JSON file", "p.json", Options{}, "", ErrEmpty, ""},
		{"a JSON value without an end", "p.json", Options{}, "[\"" + strings.Repeat("x", 3*maxJSONLine), ErrFormat, "longer than"},
		{"JSON that is not UTF-8", "p.json", Options{}, "[\"Zo\xeb\"]", ErrFormat, "not UTF-8"},

		{"xlsx", "p.csv", Options{Column: "id"}, zip("[Content_Types].xml"), ErrFormat, "it is an Excel workbook (xlsx); export the list as CSV"},
		{"xlsx by its name", "p.xlsx", Options{}, zip("xl/workbook.xml"), ErrFormat, "Excel workbook (xlsx)"},
		{"xlsx from standard input", "-", Options{}, zip("[Content_Types].xml"), ErrFormat, "Excel workbook (xlsx)"},
		{"xls", "p.xls", Options{}, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", ErrFormat, "old Excel workbook (xls)"},
		{"ods", "p.csv", Options{}, zip("mimetypeapplication/vnd.oasis.opendocument.spreadsheet"), ErrFormat, "OpenDocument spreadsheet (ods)"},
		{"numbers", "p.numbers", Options{}, zip("Index/Document.iwa"), ErrFormat, "Numbers spreadsheet"},
		{"a zip archive", "p.csv.zip", Options{}, zip("prospects.csv"), ErrFormat, "zip archive; unpack it"},
		{"HTML", "p.csv", Options{}, "\n<!DOCTYPE html><html>SECRET", ErrFormat, "it is HTML; export the list as CSV"},
		{"an HTML table", "p.xls", Options{}, "<table><tr><td>SECRET", ErrFormat, "HTML"},
		{"XML", "p.xls", Options{}, "<?xml version=\"1.0\"?><Workbook>SECRET", ErrFormat, "XML"},
		{"PDF", "p.csv", Options{}, "%PDF-1.7\n", ErrFormat, "PDF document"},
		{"RTF", "p.txt", Options{}, `{\rtf1 SECRET}`, ErrFormat, "RTF document"},
		{"Avro", "p.csv", Options{}, "Obj\x01", ErrFormat, "Avro"},
		{"ORC", "p.csv", Options{}, "ORC\x00\x01", ErrFormat, "ORC"},
		{"SQLite", "p.csv", Options{}, "SQLite format 3\x00", ErrFormat, "SQLite"},
		{"bzip2", "p.csv.bz2", Options{}, "BZh91AY&SY\x00", ErrFormat, "bzip2"},
		{"xz", "p.csv.xz", Options{}, "\xfd7zXZ\x00", ErrFormat, "xz"},
		{"UTF-32", "p.csv", Options{}, "\xff\xfe\x00\x00i\x00\x00\x00", ErrFormat, "UTF-32"},
		{"compressed twice", "p.csv.gz", Options{}, gzipped(gzipped("1\n")), ErrFormat, "compressed twice"},
		{"zstd that is cut off", "p.txt.zst", Options{}, zstandard(strings.Repeat("1\n2\n3\n", 1000))[:20], io.ErrUnexpectedEOF, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := loadForm(t, test.file, test.options, test.content)
			if !errors.Is(err, test.kind) || !strings.Contains(err.Error(), test.text) {
				t.Fatalf("error %v (IDs %q), want %v with %q", err, got.IDs, test.kind, test.text)
			}
			if strings.Contains(strings.ToLower(err.Error()), "secret") || strings.Contains(err.Error(), "2065550123") || len(err.Error()) > 500 {
				t.Errorf("the error contains content of the list: %q", err)
			}
		})
	}
}

// A record that is too long is not read to its end.
func TestLongRecord(t *testing.T) {
	in := &zeros{left: 1 << 40}
	_, err := Load("-", Options{Column: "id"}, io.MultiReader(strings.NewReader("id,name\n1,"), in))
	if !errors.Is(err, ErrFormat) || in.read > 2*maxRecord {
		t.Errorf("%d bytes were read: %v", in.read, err)
	}
}

// zeros reads a long text of zeros.
type zeros struct{ left, read int }

func (z *zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '0'
	}
	z.read += len(p)
	if z.left -= len(p); z.left < 0 {
		return 0, io.EOF
	}
	return len(p), nil
}

// A list may begin with the magic number of another format, such as ORC or BZh.
func TestMagicNumberInID(t *testing.T) {
	for _, id := range []string{"ORC1", "BZh9", "PK", "Obj1"} {
		if got, err := Load(file(t, "p.txt", id+"\n"), Options{}, nil); err != nil || got.IDs[0] != id {
			t.Errorf("%s: got %q, %v", id, got.IDs, err)
		}
	}
}

func TestLoadParquetByContent(t *testing.T) {
	content := parquetBytes(t, `[{"id":"1001"}]`, 1, column("id", arrow.BinaryTypes.String))
	if got, err := Load(file(t, "p.csv", string(content)), Options{}, nil); err != nil || !slices.Equal(got.IDs, []string{"1001"}) {
		t.Errorf("got %q, %v", got.IDs, err)
	}
	content = parquetBytes(t, `[{"id":"1001"},{"id":"1001.0"}]`, 1, column("id", arrow.BinaryTypes.String))
	if _, err := Load(file(t, "p.parquet", string(content)), Options{}, nil); !errors.Is(err, ErrID) || !strings.Contains(err.Error(), "row 2: ") {
		t.Errorf("an ID with a fraction: %v", err)
	}
}

// A pipe without a writer would block forever.
func TestLoadRefusesPipes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe.csv")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Skip(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := Load(path, Options{}, nil)
		done <- err
	}()
	select {
	case err := <-done:
		if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), "pipe") {
			t.Errorf("the error is %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("reading a pipe blocks")
	}
	if _, err := Load(os.DevNull, Options{}, nil); !errors.Is(err, ErrFormat) {
		t.Errorf("a device: %v", err)
	}
}

// Reading stops at the limit, so that a small compressed file cannot expand without bound.
func TestLimited(t *testing.T) {
	l := &limited{strings.NewReader(strings.Repeat("x", 100)), 99}
	if n, err := io.Copy(io.Discard, l); !errors.Is(err, errTooLarge) || n > 99 {
		t.Errorf("%d bytes are read: %v", n, err)
	}
	l = &limited{strings.NewReader(strings.Repeat("x", 99)), 99}
	if n, err := io.Copy(io.Discard, l); err != nil || n != 99 {
		t.Errorf("%d bytes are read: %v", n, err)
	}
}

// Line feeds replace carriage returns, whatever the size of the reads is.
func TestLineFeeds(t *testing.T) {
	const in, want = "a\rb\r\nc\r\rd\n\r\n\re\r", "a\nb\r\nc\n\nd\n\r\n\ne\n"
	for size := 1; size <= len(in); size++ {
		var out []byte
		l := newLineFeeds(strings.NewReader(in))
		for p := make([]byte, size); ; {
			n, err := l.Read(p)
			out = append(out, p[:n]...)
			if err != nil {
				break
			}
		}
		if string(out) != want {
			t.Errorf("with reads of %d bytes: got %q, want %q", size, out, want)
		}
	}
}

// The line of an error in JSON is correct, although the decoder reads ahead.
func TestLinesOfJSON(t *testing.T) {
	for _, lines := range []int{1, 2, 100, 100_000} {
		content := "[" + strings.Repeat("1,\n", lines-1) + "null]"
		_, err := Load(file(t, "p.json", content), Options{}, nil)
		if !strings.Contains(fmt.Sprint(err), fmt.Sprintf("line %d: ", lines)) {
			t.Errorf("%d lines: %v", lines, err)
		}
	}
}
