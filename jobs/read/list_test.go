package read

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/apache/arrow/go/v15/parquet/pqarrow"
	"github.com/fsouza/fake-gcs-server/fakestorage"
	"github.com/klauspost/compress/gzip"

	"prospector/internal/attribute"
	"prospector/jobs"
	"prospector/sink/store"
	"prospector/sink/store/gcs"
)

// bucket is an emulator with the bucket acme. A test can answer requests itself.
type bucket struct {
	*fakestorage.Server
	answer func(w http.ResponseWriter, r *http.Request) (answered bool)
	asked  []string // the paths of requests
}

func newBucket(t *testing.T) *bucket {
	t.Helper()
	server, err := fakestorage.NewServerWithOptions(fakestorage.Options{NoListener: true, Writer: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	server.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: "acme"})
	b := &bucket{Server: server}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.asked = append(b.asked, r.URL.Path)
		if b.answer == nil || !b.answer(w, r) {
			server.HTTPHandler().ServeHTTP(w, r)
		}
	}))
	t.Cleanup(front.Close)
	t.Setenv("STORAGE_EMULATOR_HOST", front.URL)
	return b
}

func (b *bucket) put(name string, content []byte) {
	b.CreateObject(fakestorage.Object{ObjectAttrs: fakestorage.ObjectAttrs{BucketName: "acme", Name: name}, Content: content})
}

// object returns the list in an object, as the configuration describes it.
func object(bucket, name string) jobs.Prospects {
	at := jobs.Object{Location: gcs.At(bucket, ""), Key: name}
	origin := jobs.Origin{Filename: "main.hcl", Line: 1}
	return jobs.Prospects{
		Block: jobs.Block{Address: "prospects.crm", Origin: origin, Attributes: map[string]jobs.Origin{"file": origin, "column": origin}},
		File:  at.URI(name), Object: &at,
	}
}

func zipped(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// parquetOf returns a Parquet file with one column.
func parquetOf(t *testing.T, ids ...string) []byte {
	t.Helper()
	column := array.NewStringBuilder(memory.DefaultAllocator)
	column.AppendValues(ids, nil)
	schema := arrow.NewSchema([]arrow.Field{{Name: "prospect_id", Type: arrow.BinaryTypes.String, Nullable: true}}, nil)
	var b bytes.Buffer
	w, err := pqarrow.NewFileWriter(schema, &b, nil, pqarrow.DefaultWriterProps())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Write(array.NewRecord(schema, []arrow.Array{column.NewArray()}, int64(len(ids)))), w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A list in an object has the IDs of the same list in a file.
func TestListInABucket(t *testing.T) {
	b := newBucket(t)
	parquet := parquetOf(t, "1001", "1002")
	const csv = "prospect_id,name\n1001,a\n1002,b\n1001,c\n"
	for name, test := range map[string]struct {
		content  []byte
		column   string
		repeated int
	}{
		"lists/ids.csv":      {[]byte(csv), "prospect_id", 1},
		"lists/ids.csv.gz":   {zipped(t, csv), "prospect_id", 1},
		"ids.jsonl":          {[]byte("{\"id\": \"1001\"}\n{\"id\": 1002}\n"), "id", 0},
		"ids":                {[]byte("1001\n1002\n"), "", 0},
		"tonight's ids.txt":  {[]byte("# IDs\r\n1001\r\n1002\r\n"), "", 0},
		"ids.parquet":        {parquet, "", 0},
		"parquet/other.name": {parquet, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			b.put(name, test.content)
			dir := t.TempDir()
			from := object("acme", name)
			from.Column = test.column
			ids, repeated, err := Lists{TempDir: func() (string, error) { return dir, nil }}.Load(t.Context(), from)
			if err != nil || !slices.Equal(ids, []string{"1001", "1002"}) || repeated != test.repeated {
				t.Errorf("Load returns %q, %d repeated, %v", ids, repeated, err)
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("%d files are left, %v", len(left), err)
			}
		})
	}
	for _, path := range b.asked {
		if strings.HasSuffix(path, "/o") || strings.HasSuffix(path, "/b/acme") {
			t.Errorf("Load needs a permission on the bucket, for %s", path)
		}
	}
}

// An object with the content encoding gzip, as gcloud storage cp -Z creates it, is read as
// it is stored, because its size and checksum are those of the stored bytes.
func TestListWithContentEncoding(t *testing.T) {
	b := newBucket(t)
	b.CreateObject(fakestorage.Object{
		ObjectAttrs: fakestorage.ObjectAttrs{BucketName: "acme", Name: "ids.txt", ContentEncoding: "gzip"},
		Content:     zipped(t, "1001\n1002\n"),
	})
	ids, _, err := Lists{TempDir: func() (string, error) { return t.TempDir(), nil }}.Load(t.Context(), object("acme", "ids.txt"))
	if err != nil || !slices.Equal(ids, []string{"1001", "1002"}) {
		t.Errorf("Load returns %q, %v", ids, err)
	}
}

func TestListInABucketIsUnusable(t *testing.T) {
	b := newBucket(t)
	b.put("ids.csv", []byte("a,b\n1,2\n"))
	b.put("empty.txt", []byte("# none\n"))
	b.put("wrong.txt", []byte("1001\nsomeone@example.com\n"))
	refuse := func(status int, reason string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(status)
			fmt.Fprintf(w, `{"error": {"code": %d, "message": "someone@example.com", "errors": [{"reason": %q}]}}`, status, reason)
			return true
		}
	}
	for name, test := range map[string]struct {
		bucket, object string
		answer         func(http.ResponseWriter, *http.Request) bool
		summary        string
		detail         []string
	}{
		"no object": {"acme", "lists/none.csv", nil, "Prospects cannot be read", []string{"reading prospect IDs: describing gs://acme/lists/none.csv: object does not exist; check the URI"}},
		"no bucket": {"elsewhere", "ids.csv", func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"error": {"code": 404, "message": "The specified bucket does not exist.", "errors": [{"reason": "notFound"}]}}`)
			return true
		}, "Prospects cannot be read", []string{"gs://elsewhere/ids.csv", "the bucket elsewhere does not exist"}},
		"forbidden":     {"acme", "ids.csv", refuse(403, "forbidden"), "Prospects cannot be read", []string{"403 forbidden", "storage.objects.get", "roles/storage.objectViewer"}},
		"not a project": {"acme", "ids.csv", refuse(400, "userProjectMissing"), "Prospects cannot be read", []string{"400 userProjectMissing", "set user_project"}},
		"no column":     {"acme", "ids.csv", nil, "Prospects cannot be read", []string{"reading prospect IDs from gs://acme/ids.csv: no usable column"}},
		"no IDs":        {"acme", "empty.txt", nil, "No prospects", []string{"gs://acme/empty.txt: there are no prospect IDs"}},
		"no ID":         {"acme", "wrong.txt", nil, "Prospects cannot be read", []string{"gs://acme/wrong.txt, line 2"}},
	} {
		t.Run(name, func(t *testing.T) {
			b.answer = test.answer
			_, _, err := Lists{TempDir: func() (string, error) { return t.TempDir(), nil }}.Load(t.Context(), object(test.bucket, test.object))
			d, ok := errors.AsType[jobs.Diagnostic](err)
			if !ok || d.Summary != test.summary || d.Origin == nil || d.Address != "prospects.crm" {
				t.Fatalf("the error is %v", err)
			}
			for _, want := range test.detail {
				if !strings.Contains(d.Detail, want) {
					t.Errorf("the detail is %q, want one with %q", d.Detail, want)
				}
			}
			if strings.Contains(d.Detail, "someone") {
				t.Errorf("the detail %q contains personal data", d.Detail)
			}
		})
	}
}

// An object that is replaced while it is read is read again.
func TestListIsReplaced(t *testing.T) {
	b := newBucket(t)
	replaced := 0
	replaceUpTo := func(most int) {
		replaced = 0
		b.put("ids.txt", []byte("1\n"))
		b.answer = func(_ http.ResponseWriter, r *http.Request) bool {
			if r.URL.Query().Get("alt") == "media" && replaced < most {
				replaced++
				b.put("ids.txt", fmt.Appendf(nil, "%d\n", 1000+replaced))
			}
			return false
		}
	}
	load := func() ([]string, error) {
		ids, _, err := Lists{TempDir: func() (string, error) { return t.TempDir(), nil }}.Load(t.Context(), object("acme", "ids.txt"))
		return ids, err
	}
	replaceUpTo(2)
	if ids, err := load(); err != nil || !slices.Equal(ids, []string{"1002"}) {
		t.Errorf("Load returns %q, %v", ids, err)
	}
	replaceUpTo(100)
	if ids, err := load(); err == nil || !strings.Contains(err.Error(), "gs://acme/ids.txt is replaced while it is read") || replaced != maxChanges {
		t.Errorf("Load returns %q, %v after %d changes", ids, err, replaced)
	}
}

func TestListIsInterrupted(t *testing.T) {
	b := newBucket(t)
	b.put("ids.txt", []byte("1\n"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err := Lists{TempDir: func() (string, error) { return t.TempDir(), nil }}.Load(ctx, object("acme", "ids.txt"))
	if _, ok := errors.AsType[jobs.Diagnostic](err); ok || !errors.Is(err, context.Canceled) {
		t.Errorf("Load returns %v", err)
	}
}

// The settings of the list reach the store.
func TestListIsOpenedByItsKind(t *testing.T) {
	broken := attribute.NewProblem("credentials", "Invalid credentials", "they are broken")
	from := object("acme", "ids.txt")
	from.Attributes["credentials"] = jobs.Origin{Filename: "main.hcl", Line: 7}
	from.Object.Kind = &store.Kind{Name: "other", URI: gcs.Kind.URI, Open: func(_ context.Context, s attribute.Settings, access store.Access) (store.Store, error) {
		if s != from.Object.Settings || !access.KnownKeys {
			t.Errorf("it is opened with %v, %v", s, access)
		}
		return nil, broken
	}}
	_, _, err := (Lists{}).Load(t.Context(), from)
	if d, ok := errors.AsType[jobs.Diagnostic](err); !ok || d.Origin.Line != 7 || !strings.Contains(d.Detail, "they are broken") {
		t.Errorf("Load returns %v", err)
	}
}
