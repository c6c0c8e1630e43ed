package prospect

import (
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
	"testing"
	"testing/iotest"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/google/go-cmp/cmp"
)

func gzipped(text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	io.WriteString(z, text)
	z.Close()
	return b.String()
}

func file(t testing.TB, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLoad(t *testing.T) {
	const bom = "\xef\xbb\xbf"
	tests := []struct {
		name       string
		file       string
		column     string
		content    string
		ids        []string
		duplicates int
	}{
		{"one per line", "p.txt", "", "# leads\n\n 7 \r\n007\n#9\n7\na/b:c", []string{"7", "007", "a/b:c"}, 1},
		{"one per line ignores the column", "p", "id", "1\n2\n", []string{"1", "2"}, 0},
		{"# in an ID is not a comment", "p.lst", "", "a#1\n", []string{"a#1"}, 0},
		{"byte order mark", "p.txt", "", bom + "1\n", []string{"1"}, 0},
		{"unicode", "p.txt", "", "Zoë-日本\n", []string{"Zoë-日本"}, 0},
		{"csv", "p.csv", "prospect_id", bom + "name, prospect_id\r\n\"Doe, J\",\" 007\"\r\nB,7\r\n\r\nC,7\r\n", []string{"007", "7"}, 1},
		{"csv is taken literally", "p.CSV", "id", "id\n1e5\n01\n1#\nx\n", []string{"1e5", "01", "1#", "x"}, 0},
		{"csv with one column", "p.csv", "", "anything\n1\n2\n", []string{"1", "2"}, 0},
		{"csv with a line feed in a field", "p.csv", "id", "id,note\n1,\"a\nb\"\n2,c\n", []string{"1", "2"}, 0},
		{"tsv", "p.tsv", "id", "n,ame\tid\na,b\t1\n", []string{"1"}, 0},
		{"json objects", "p.jsonl", "id", "{\"id\":\"007\",\"x\":{\"id\":1}}\n\n {\"x\":[1],\"id\":47569637}\n{\"id\":\"\\u0041\\/b\"}", []string{"007", "47569637", "A/b"}, 0},
		{"json numbers are literal", "p.ndjson", "", "123456789012345678901234567890\n\"5\"\n5\n-1", []string{"123456789012345678901234567890", "5", "-1"}, 1},
		{"gzip", "p.csv.gz", "id", gzipped("id\n1\n") + gzipped("2\n"), []string{"1", "2"}, 0},
		{"gzip of lines", "p.gz", "", gzipped(bom + "1\n"), []string{"1"}, 0},
		{".gz that is already decompressed", "p.jsonl.gz", "id", "{\"id\":\"1\"}", []string{"1"}, 0},
		{"gzip without .gz", "p.csv", "id", gzipped("id\n1\n"), []string{"1"}, 0},

		{"stdin lines", "-", "", "\n# one, two\n1\n2\n", []string{"1", "2"}, 0},
		{"stdin csv", "-", "id", "id,name\n1,x\n", []string{"1"}, 0},
		{"stdin csv with one column", "-", "id", "id\n1\n", []string{"1"}, 0},
		{"stdin quoted csv", "-", "id", "\"id\",\"name\"\n1,x\n", []string{"1"}, 0},
		{"stdin tsv", "-", "id", "id\tname\n1\tx\n", []string{"1"}, 0},
		{"stdin json", "-", "id", bom + "\n{\"id\":1}\n", []string{"1"}, 0},
		{"stdin json strings", "-", "", "\"1\"\n\"2\"", []string{"1", "2"}, 0},
		{"stdin gzip", "-", "id", gzipped("{\"id\":1}\n"), []string{"1"}, 0},
		{"stdin long", "-", "", strings.Repeat("\n", 2*sniffed) + "1\n", []string{"1"}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path, stdin := tt.file, io.Reader(nil)
			if path == "-" {
				stdin = iotest.OneByteReader(strings.NewReader(tt.content))
			} else {
				path = file(t, tt.file, tt.content)
			}
			got, err := Load(path, Options{Column: tt.column}, stdin)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(List{IDs: tt.ids, Duplicates: tt.duplicates}, got); diff != "" {
				t.Errorf("list (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLoadRefuses(t *testing.T) {
	long := strings.Repeat("x", MaxLength+1)
	tests := []struct {
		name    string
		file    string
		column  string
		content string
		kind    error
		text    string // in the error
	}{
		{"nothing", "p.txt", "", "", ErrEmpty, "p.txt"},
		{"comments alone", "p.txt", "", "# 1\n", ErrEmpty, "at least one"},
		{"empty csv", "p.csv", "id", "", ErrEmpty, ""},
		{"header alone", "p.csv", "id", "id,name\n", ErrEmpty, ""},
		{"empty json", "p.jsonl", "id", "\n\n", ErrEmpty, ""},
		{"empty stdin", "-", "id", "", ErrEmpty, "standard input"},

		{"csv column", "p.csv", "prospectId", "name,prospect_id\nBob,1\n", ErrColumn, `there is no column "prospectId", did you mean "prospect_id"?; it has "name", "prospect_id"`},
		{"csv column, case", "p.csv", "ID", "name,id\nBob,1\n", ErrColumn, `did you mean "id"?`},
		{"csv column, nothing like it", "p.csv", "prospect", "a,b\nBob,1\n", ErrColumn, `there is no column "prospect"; it has "a", "b"`},
		{"csv column not named", "p.csv", "", "a,b\nBob,1\n", ErrColumn, `set column to the one with the IDs; it has "a", "b"`},
		{"csv column twice", "p.csv", "a", "a,a\nBob,1\n", ErrColumn, "more than one column"},
		{"csv without a header", "p.csv", "id", "475,SECRET@example.com\n", ErrColumn, "does not seem to begin with a header"},
		{"csv with many columns", "p.csv", "id", strings.Repeat("c,", 30) + "c\n", ErrColumn, `and 11 more`},
		{"json key", "p.jsonl", "prospect_id", "{\"prospect_id\":1}\n{\"prospectid\":2}\n", ErrColumn, `line 2: no usable column: there is no column "prospect_id", did you mean "prospectid"?`},
		{"json key not named", "p.jsonl", "", "{\"id\":1}\n", ErrColumn, `line 1: no usable column: set column to the one with the IDs; it has "id"`},
		{"stdin csv column not named", "-", "", "a,b\n1,SECRET\n", ErrColumn, "set column to the one with the IDs"},
		{"stdin lines with a column", "-", "id", "1\n2\n", ErrColumn, "does not seem to begin with a header"},

		{"empty field", "p.csv", "id", "id,n\n1,a\n  ,SECRET\n", ErrID, "line 3: unusable prospect ID: it is empty"},
		{"empty field after a long record", "p.csv", "id", "id,n\n1,\"a\nb\"\n,SECRET\n", ErrID, "line 4"},
		{"empty json string", "p.jsonl", "id", "{\"id\":\"\"}", ErrID, "line 1: unusable prospect ID: it is empty"},
		{"too long", "p.txt", "", "1\n" + long, ErrID, "line 2: unusable prospect ID: it has 257 bytes"},
		{"control character", "p.txt", "", "1\n2\n3SECRET\x074\n", ErrID, "line 3: unusable prospect ID: its byte 8 begins the invisible character U+0007"},
		{"zero width space", "p.txt", "", "1\u200b\n", ErrID, "U+200B"},
		{"escaped line feed", "p.jsonl", "", `"a\nb"`, ErrID, "U+000A"},
		{"latin-1", "p.txt", "", "Zo\xeb\n", ErrID, "line 1: unusable prospect ID: it is not UTF-8"},
		{"latin-1 header", "p.csv", "id", "Zo\xeb,id\n", ErrFormat, "line 1: unreadable list of prospects: it is not UTF-8"},
		{"latin-1 json", "p.jsonl", "", "\"Zo\xeb\"\n", ErrFormat, "not UTF-8"},
		{"replacement character", "p.txt", "", "Zo\ufffd\n", ErrID, "U+FFFD"},
		{"half a surrogate", "p.jsonl", "", `"\ud800"`, ErrID, "U+FFFD"},
		{"dots", "p.txt", "", "..\n", ErrID, "another resource"},
		{"exponent", "p.jsonl", "id", "{\"id\":1}\n{\"id\":1e5}", ErrID, "line 2: unusable prospect ID: it is a number with a fraction or an exponent"},
		{"fraction", "p.jsonl", "", "1.0", ErrID, "line 1"},
		{"null", "p.jsonl", "id", `{"id":null}`, ErrID, "line 1: unusable prospect ID: it is null"},
		{"boolean", "p.jsonl", "id", `{"id":true}`, ErrID, "neither a string nor a number"},
		{"array", "p.jsonl", "id", `["SECRET"]`, ErrID, "neither"},

		{"json cut off", "p.jsonl", "id", "{\"id\":1}\n{\"id\":\"SECRET", ErrFormat, "line 2"},
		{"json with a tail", "p.jsonl", "", `1 SECRET`, ErrFormat, "line 1"},
		{"invalid json number", "p.jsonl", "", `007`, ErrFormat, "line 1"},
		{"deeply nested json", "p.jsonl", "id", strings.Repeat("[", 20_000), ErrFormat, "line 1"},
		{"ragged csv", "p.csv", "id", "id,name\n1,a\n2,b,SECRET\n", ErrFormat, "line 3: unreadable list of prospects: it has more columns than the first line"},
		{"open quote", "p.csv", "id", "id,name\n1,\"SECRET\n", ErrFormat, "line 2"},
		{"endless line", "p.txt", "", "1\n" + strings.Repeat("SECRET", maxPlainLine), ErrFormat, "line 2: unreadable list of prospects: it is longer"},
		{"parquet by another name", "-", "id", "PAR1SECRET", ErrFormat, "Parquet"},
		{"compressed parquet", "p.parquet.gz", "id", gzipped("SECRET"), ErrFormat, "decompress"},
		{"cut off gzip", "p.txt.gz", "", gzipped("1\n2\n")[:20], io.ErrUnexpectedEOF, "is incomplete"},
		{"cut off gzip of csv", "p.csv.gz", "id", gzipped("id\n1\n2\n")[:22], io.ErrUnexpectedEOF, "is incomplete"},
		{"gzip without a header", "p.txt.gz", "", "\x1f\x8bSECRET\x00\x00\x00\x00", ErrFormat, "gzip"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path, stdin, label := tt.file, io.Reader(nil), "standard input"
			if path == "-" {
				stdin = strings.NewReader(tt.content)
			} else {
				path = file(t, tt.file, tt.content)
				label = path
			}
			got, err := Load(path, Options{Column: tt.column}, stdin)
			if !errors.Is(err, tt.kind) {
				t.Fatalf("error %v, want %v", err, tt.kind)
			}
			if !strings.Contains(err.Error(), tt.text) || !strings.Contains(err.Error(), label) {
				t.Errorf("error %q does not contain %q and %q", err, tt.text, label)
			}
			if strings.Contains(err.Error(), "SECRET") || len(err.Error()) > 500 {
				t.Errorf("the error contains content of the list: %q", err)
			}
			if len(got.IDs) > 0 {
				t.Errorf("Load returned an error together with the IDs %q", got.IDs)
			}
		})
	}
}

func TestLoadUnreadableFiles(t *testing.T) {
	dir := t.TempDir()
	if _, err := Load(filepath.Join(dir, "none.csv"), Options{Column: "id"}, nil); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "none.csv") {
		t.Errorf("missing file: %v", err)
	}
	if _, err := Load(dir, Options{Column: "id"}, nil); !errors.Is(err, ErrFormat) {
		t.Errorf("directory: %v", err)
	}
	if _, err := Load("-", Options{Column: "id"}, nil); err == nil {
		t.Error("missing standard input: no error")
	}
	broken := errors.New("broken")
	if _, err := Load("-", Options{}, io.MultiReader(strings.NewReader("1\n2\n"), iotest.ErrReader(broken))); !errors.Is(err, broken) {
		t.Errorf("broken standard input: %v", err)
	}
}

// FuzzLoad: for any bytes, Load returns either a list of valid, distinct IDs or an error.
func FuzzLoad(f *testing.F) {
	for _, seed := range []string{"1\n2", "id,x\n1,2", "{\"id\":1}\n\"2\"", "id\tx\n\"1\"\t2", gzipped("1\n1"), "\xff\xfe", "# a\n"} {
		f.Add([]byte(seed), "id")
		f.Add([]byte(seed), "")
	}
	f.Fuzz(func(t *testing.T, content []byte, column string) {
		for _, extension := range []string{".csv", ".tsv", ".jsonl", ".json", ".txt"} {
			c := newCollector("p")
			text, err := c.text(bytes.NewReader(content), Options{})
			if err != nil {
				continue
			}
			if err := c.read(extension, text, Options{Column: column}); err != nil && !utf8Printable(err.Error()) {
				t.Errorf("%s: error %q", extension, err)
			}
		}
		list, err := Load("-", Options{Column: column}, bytes.NewReader(content))
		if (err == nil) != (len(list.IDs) > 0) {
			t.Fatalf("%d IDs with error %v", len(list.IDs), err)
		}
		seen := make(map[string]bool)
		for _, id := range list.IDs {
			if check(id) != "" || seen[id] || strings.TrimSpace(id) != id {
				t.Errorf("ID %q", id)
			}
			seen[id] = true
		}
	})
}

func utf8Printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r == 0x7f })
}

func BenchmarkLoad(b *testing.B) {
	const ids = 1_000_000
	var plain, csv, jsonl strings.Builder
	csv.WriteString("name,prospect_id\n")
	for i := range ids {
		fmt.Fprintf(&plain, "%d\n", 47_000_000+i)
		fmt.Fprintf(&csv, "name,%d\n", 47_000_000+i)
		fmt.Fprintf(&jsonl, "{\"name\":\"name\",\"prospect_id\":\"%d\"}\n", 47_000_000+i)
	}
	for _, bb := range []struct{ name, text string }{
		{"p.txt", plain.String()}, {"p.csv", csv.String()}, {"p.jsonl", jsonl.String()},
	} {
		b.Run(bb.name, func(b *testing.B) {
			path := file(b, bb.name, bb.text)
			b.ReportAllocs()
			for b.Loop() {
				list, err := Load(path, Options{Column: "prospect_id"}, nil)
				if err != nil || len(list.IDs) != ids {
					b.Fatal(len(list.IDs), err)
				}
			}
			b.ReportMetric(float64(ids)*float64(b.N)/b.Elapsed().Seconds(), "ids/s")
		})
	}
}

// Content that the caller has opened is read like a file with its name.
func TestLoadFrom(t *testing.T) {
	from := func(name, content string) (List, error) {
		const before = "not part of it\n"
		return LoadFrom(name, io.NewSectionReader(strings.NewReader(before+content+"nor is this"), int64(len(before)), int64(len(content))), Options{Column: "id"})
	}
	for name, content := range map[string]string{
		"gs://acme/ids.CSV":     "name,id\na,7\nb,007\n",
		"gs://acme/x/ids.jsonl": "{\"id\": 7}\n{\"id\": \"007\"}\n",
		"ids.parquet":           string(parquetBytes(t, `[{"id": "7"}, {"id": "007"}]`, 1, column("id", arrow.BinaryTypes.String))),
		"parquet":               string(parquetBytes(t, `[{"id": "7"}, {"id": "007"}]`, 1, column("id", arrow.BinaryTypes.String))),
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := from(name, content); err != nil || !slices.Equal(got.IDs, []string{"7", "007"}) {
				t.Errorf("LoadFrom returns %q, %v", got.IDs, err)
			}
		})
	}
	if _, err := from("gs://acme/ids.csv", "id\n1\n1,2\n"); !errors.Is(err, ErrFormat) || !strings.HasPrefix(err.Error(), "reading prospect IDs from gs://acme/ids.csv, line 3: ") {
		t.Errorf("LoadFrom returns %v", err)
	}
}
