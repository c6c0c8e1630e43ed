package gcsfault_test

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fsouza/fake-gcs-server/fakestorage"

	"prospector/sink/store/gcs/gcsfault"
)

// emulator is a client of a faithful emulator with the bucket lake.
type emulator struct {
	url    string
	client *http.Client
}

func newEmulator(t *testing.T, f *gcsfault.Faithful) *emulator {
	t.Helper()
	server, err := fakestorage.NewServerWithOptions(fakestorage.Options{NoListener: true})
	if err != nil {
		t.Fatal(err)
	}
	server.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: "lake"})
	f.Service = server.HTTPHandler()
	url, client := serve(t, f)
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &emulator{url, client}
}

type response struct {
	status int
	header http.Header
	body   string
}

func (r response) String() string { return fmt.Sprint(r.status, " ", r.header, " ", r.body) }

// generation returns the generation of the object that a response describes.
func (r response) generation(t *testing.T) string {
	t.Helper()
	var attrs struct{ Generation string }
	if err := json.Unmarshal([]byte(r.body), &attrs); err != nil || r.status != http.StatusOK {
		t.Fatalf("not an object: %v (%v)", r, err)
	}
	return attrs.Generation
}

func (e *emulator) do(t *testing.T, method, at, body string, header ...string) response {
	t.Helper()
	if !strings.HasPrefix(at, "http") {
		at = e.url + at
	}
	request, err := http.NewRequest(method, at, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	got, err := e.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	data, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response{got.StatusCode, got.Header, string(data)}
}

func (e *emulator) put(t *testing.T, data string) (generation string) {
	t.Helper()
	return e.do(t, http.MethodPost, upload, data).generation(t)
}

func (e *emulator) want(t *testing.T, data string) {
	t.Helper()
	if got := e.do(t, http.MethodGet, content, ""); got.status != http.StatusOK || got.body != data {
		t.Errorf("the object is %d with %d bytes, want %d bytes", got.status, len(got.body), len(data))
	}
}

func TestDeleteObeysItsPrecondition(t *testing.T) {
	e := newEmulator(t, new(gcsfault.Faithful))
	remove := func(generation string, want int) {
		t.Helper()
		if got := e.do(t, http.MethodDelete, object+"?ifGenerationMatch="+generation, ""); got.status/100 != want/100 || want > 300 && got.status != want {
			t.Errorf("the delete returns %v, want %d", got, want)
		}
	}
	remove("1", http.StatusNotFound)
	old := e.put(t, "old")
	now := e.put(t, "new")
	remove(old, http.StatusPreconditionFailed)
	e.want(t, "new")
	remove(now, http.StatusOK)
	remove(now, http.StatusNotFound)
}

const unit = 256 << 10

func crc(data string) string {
	sum := crc32.Checksum([]byte(data), crc32.MakeTable(crc32.Castagnoli))
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, sum))
}

// start starts a session for data.
func (e *emulator) start(t *testing.T, data, condition string) response {
	t.Helper()
	return e.do(t, http.MethodPost, "/upload/storage/v1/b/lake/o?uploadType=resumable&name=a/b&ifGenerationMatch="+condition,
		fmt.Sprintf(`{"name":"a/b","contentType":"text/plain","crc32c":%q}`, crc(data)))
}

func (e *emulator) session(t *testing.T, data, condition string) (uri string) {
	t.Helper()
	got := e.start(t, data, condition)
	if uri = got.header.Get("Location"); got.status != http.StatusOK || uri == "" {
		t.Fatalf("the start of a session returns %v", got)
	}
	return uri
}

func wantKept(t *testing.T, got response, kept string) {
	t.Helper()
	if got.status != http.StatusPermanentRedirect || got.header.Get("Range") != kept {
		t.Errorf("the session returns %v, want 308 and %q", got, kept)
	}
}

func TestSession(t *testing.T) {
	e := newEmulator(t, new(gcsfault.Faithful))
	data := strings.Repeat("0123456789abcdef", 3*unit/16) + "the end"
	uri := e.session(t, data, "0")
	all := fmt.Sprintf("bytes */%d", len(data))
	put := func(from, to int) response {
		return e.do(t, http.MethodPut, uri, data[from:to], "Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to-1, len(data)))
	}
	wantKept(t, e.do(t, http.MethodPut, uri, "", "Content-Range", all), "")
	wantKept(t, put(0, unit), fmt.Sprintf("bytes=0-%d", unit-1))
	if got := e.do(t, http.MethodPut, uri, "", "Content-Range", all, "X-GUploader-No-308", "yes"); got.status != http.StatusOK || got.header.Get("X-Http-Status-Code-Override") != "308" {
		t.Errorf("with X-GUploader-No-308 the session returns %v", got)
	}
	if got := put(2*unit, 3*unit); got.status != http.StatusBadRequest {
		t.Errorf("after a gap the session returns %v", got)
	}
	// These bytes overlap with the first ones, and do not end with a unit.
	wantKept(t, put(100, 2*unit+5), fmt.Sprintf("bytes=0-%d", 2*unit-1))
	done := put(2*unit, len(data))
	e.want(t, data)
	generation := done.generation(t)
	if again := e.do(t, http.MethodPut, uri, "", "Content-Range", all); again.generation(t) != generation {
		t.Errorf("the finished session returns %v", again)
	}
}

func TestSessionKeepsWhatArrived(t *testing.T) {
	f := new(gcsfault.Faithful)
	e := newEmulator(t, f)
	data := strings.Repeat("0123456789abcdef", 4*unit/16)
	uri := e.session(t, data, "0")
	p := gcsfault.New(f, gcsfault.Options{})
	disturbed, client := serve(t, p)
	p.Next(gcsfault.Of(gcsfault.Send), gcsfault.ResetDuring)
	if got := send(client, http.MethodPut, strings.Replace(uri, e.url, disturbed, 1), data); got.err == nil {
		t.Errorf("the client sees %+v", got)
	}
	wantKept(t, e.do(t, http.MethodPut, uri, "", "Content-Range", "bytes */*"), fmt.Sprintf("bytes=0-%d", 2*unit-1))
}

func TestSessionFails(t *testing.T) {
	whole := func(e *emulator, uri, data string) response {
		return e.do(t, http.MethodPut, uri, data, "Content-Range", fmt.Sprintf("bytes 0-%d/%d", len(data)-1, len(data)))
	}
	t.Run("wrong checksum", func(t *testing.T) {
		e := newEmulator(t, new(gcsfault.Faithful))
		if got := whole(e, e.session(t, "original", "0"), "modified"); got.status != http.StatusBadRequest {
			t.Errorf("the session returns %v", got)
		}
	})
	t.Run("precondition", func(t *testing.T) {
		e := newEmulator(t, new(gcsfault.Faithful))
		e.put(t, "other")
		if got := whole(e, e.session(t, "own", "0"), "own"); got.status != http.StatusPreconditionFailed {
			t.Errorf("the session returns %v", got)
		}
		e.want(t, "other")
	})
	t.Run("precondition at the start", func(t *testing.T) {
		e := newEmulator(t, &gcsfault.Faithful{CheckStart: true})
		now := e.put(t, "other")
		if got := e.start(t, "own", "0"); got.status != http.StatusPreconditionFailed {
			t.Errorf("the start returns %v", got)
		}
		whole(e, e.session(t, "own", now), "own").generation(t)
		e.want(t, "own")
	})
	t.Run("cancelled", func(t *testing.T) {
		e := newEmulator(t, new(gcsfault.Faithful))
		uri := e.session(t, "own", "0")
		if got := e.do(t, http.MethodDelete, uri, ""); got.status != 499 {
			t.Errorf("the cancellation returns %v", got)
		}
		if got := whole(e, uri, "own"); got.status != http.StatusNotFound {
			t.Errorf("the session returns %v", got)
		}
	})
	t.Run("no bucket", func(t *testing.T) {
		e := newEmulator(t, new(gcsfault.Faithful))
		if got := e.do(t, http.MethodPost, "/upload/storage/v1/b/none/o?uploadType=resumable&name=a", ""); got.status != http.StatusNotFound {
			t.Errorf("the start returns %v", got)
		}
	})
}

// After a lost answer, the service refuses to repeat a conditional write.
func TestOwnWriteIsRefused(t *testing.T) {
	f := new(gcsfault.Faithful)
	newEmulator(t, f)
	p := gcsfault.New(f, gcsfault.Options{})
	url, client := serve(t, p)
	p.Next(gcsfault.Of(gcsfault.Upload), gcsfault.Lost)
	at := url + upload + "&ifGenerationMatch=0"
	if got := send(client, http.MethodPost, at, "own"); got.err == nil {
		t.Errorf("the client sees %+v", got)
	}
	if got := send(client, http.MethodPost, at, "own"); got.status != http.StatusPreconditionFailed || p.Counts().Refused != 1 {
		t.Errorf("the client sees %+v; the counts are %+v", got, p.Counts())
	}
}

func TestWriteInterval(t *testing.T) {
	e := newEmulator(t, &gcsfault.Faithful{WriteInterval: time.Hour})
	e.put(t, "first")
	if got := e.do(t, http.MethodPost, upload, "second"); got.status != http.StatusTooManyRequests {
		t.Errorf("the second write returns %v", got)
	}
	e.want(t, "first")
}

func TestPageSize(t *testing.T) {
	f := new(gcsfault.Faithful)
	e := newEmulator(t, f)
	url, client := serve(t, gcsfault.New(f, gcsfault.Options{PageSize: 1}))
	for _, name := range []string{"a", "b", "c"} {
		e.do(t, http.MethodPost, "/upload/storage/v1/b/lake/o?uploadType=media&name="+name, name)
	}
	var names []string
	for token := ""; ; {
		var page struct {
			Items         []struct{ Name string }
			NextPageToken string
		}
		got := send(client, http.MethodGet, url+"/storage/v1/b/lake/o?maxResults=100&pageToken="+token, "")
		if err := json.Unmarshal([]byte(got.body), &page); err != nil || len(page.Items) != 1 {
			t.Fatalf("the page is %+v (%v)", got, err)
		}
		names = append(names, page.Items[0].Name)
		if token = page.NextPageToken; token == "" {
			break
		}
	}
	if strings.Join(names, "") != "abc" {
		t.Errorf("the list is %q", names)
	}
}
