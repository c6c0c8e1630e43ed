package gcs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fsouza/fake-gcs-server/fakestorage"

	"prospector/sink/store"
	"prospector/sink/store/gcs"
	"prospector/sink/store/gcs/gcsfault"
)

// newProxy starts an emulator behind a proxy that disturbs requests, and returns the
// options of a store that uses it.
func newProxy(t *testing.T, faults gcsfault.Options) (*gcsfault.Proxy, gcs.Options) {
	t.Helper()
	server, err := fakestorage.NewServerWithOptions(fakestorage.Options{NoListener: true})
	if err != nil {
		t.Fatal(err)
	}
	server.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: bucket})
	proxy := gcsfault.New(&gcsfault.Faithful{Service: server.HTTPHandler()}, faults)
	listener := httptest.NewServer(proxy)
	t.Cleanup(func() {
		proxy.Close()
		listener.Close()
	})
	return proxy, gcs.Options{Endpoint: listener.URL, Timeout: 500 * time.Millisecond}
}

func openWith(t *testing.T, opts gcs.Options) *gcs.Store {
	t.Helper()
	s, err := gcs.Open(t.Context(), bucket, "lake", opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// sized returns n bytes that differ from their neighbours.
func sized(n int) []byte {
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(i * 7 >> (i % 5))
	}
	return data
}

// operation is a call of the store for one key, and the kind of request that a fault
// disturbs.
type operation struct {
	kind gcsfault.Kind
	// before are faults that lead to such a request.
	before map[gcsfault.Kind]gcsfault.Fault
	// data is the object, and existing whether it exists before the call.
	data     []byte
	existing bool
	call     func(ctx context.Context, s *gcs.Store, key string, data []byte) error
}

// create creates the object of the operation. A list has a second one.
func (op operation) create(t *testing.T, s *gcs.Store, key string) {
	t.Helper()
	keys := []string{key}
	if op.kind == gcsfault.List {
		keys = append(keys, key+"/2")
	}
	for _, key := range keys {
		if _, err := s.Put(t.Context(), key, store.ContentOf(op.data, ""), store.Condition{}); err != nil {
			t.Fatal(err)
		}
	}
}

var operations = map[string]operation{
	"second page of list": {kind: gcsfault.List, before: map[gcsfault.Kind]gcsfault.Fault{gcsfault.List: gcsfault.None}, data: sized(10), existing: true, call: func(ctx context.Context, s *gcs.Store, key string, _ []byte) error {
		n := 0
		for e, err := range s.List(ctx, key) {
			if err != nil {
				return err
			}
			if n++; !strings.HasPrefix(e.Key, key) {
				return fmt.Errorf("List returns %s", e.Key)
			}
		}
		if n != 2 {
			return fmt.Errorf("List returns %d objects", n)
		}
		return nil
	}},
	"stat": {kind: gcsfault.Stat, data: sized(10), existing: true, call: func(ctx context.Context, s *gcs.Store, key string, data []byte) error {
		o, err := s.Stat(ctx, key)
		if err == nil && (o.Size != int64(len(data)) || o.CRC32C != store.Checksum(data)) {
			err = fmt.Errorf("Stat returns %+v", o)
		}
		return err
	}},
	"small download":   {kind: gcsfault.Download, data: sized(1000), existing: true, call: download},
	"large download":   {kind: gcsfault.Download, data: sized(1_200_000), existing: true, call: download},
	"upload":           {kind: gcsfault.Upload, data: sized(1000), call: upload},
	"start of session": {kind: gcsfault.Start, before: map[gcsfault.Kind]gcsfault.Fault{gcsfault.Upload: gcsfault.Unavailable}, data: sized(300_000), call: upload},
	"session":          {kind: gcsfault.Send, before: map[gcsfault.Kind]gcsfault.Fault{gcsfault.Upload: gcsfault.Unavailable}, data: sized(300_000), call: upload},
	"query of session": {kind: gcsfault.Query, before: map[gcsfault.Kind]gcsfault.Fault{
		gcsfault.Upload: gcsfault.Unavailable, gcsfault.Send: gcsfault.ResetDuring,
	}, data: sized(600_000), call: upload},
	"delete": {kind: gcsfault.Delete, data: sized(10), existing: true, call: func(ctx context.Context, s *gcs.Store, key string, _ []byte) error {
		if err := s.Delete(ctx, key, store.Condition{}); err != nil {
			return err
		}
		if _, err := s.Stat(ctx, key); err == nil {
			return fmt.Errorf("after Delete, the object exists")
		}
		return nil
	}},
}

func upload(ctx context.Context, s *gcs.Store, key string, data []byte) error {
	put, err := s.Put(ctx, key, store.ContentOf(data, "text/plain"), store.IfAbsent())
	if err != nil {
		return err
	}
	now, err := s.Stat(ctx, key)
	if err == nil && (now != put || now.Size != int64(len(data)) || now.CRC32C != store.Checksum(data)) {
		err = fmt.Errorf("the object is %+v, but Put returned %+v", now, put)
	}
	return err
}

func download(ctx context.Context, s *gcs.Store, key string, data []byte) error {
	r, err := s.Open(ctx, key)
	if err != nil {
		return err
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	if err == nil && !bytes.Equal(got, data) {
		err = fmt.Errorf("%d other bytes were read", len(got))
	}
	return err
}

// disturbances returns the faults that can happen to a request of a kind, each as often as
// it happens in a row.
func disturbances(kind gcsfault.Kind) map[string][]gcsfault.Fault {
	sends := []gcsfault.Kind{gcsfault.Upload, gcsfault.Start, gcsfault.Send}
	only := map[string][]gcsfault.Kind{
		gcsfault.SessionNotFound.String(): {gcsfault.Send, gcsfault.Query},
		gcsfault.SessionGone.String():     {gcsfault.Send, gcsfault.Query},
		gcsfault.ResetDuring.String():     sends,
		gcsfault.StallBody.String():       sends,
		gcsfault.StallDownload.String():   {gcsfault.Download, gcsfault.List},
		gcsfault.DamagedBody.String():     {gcsfault.Upload, gcsfault.Send},
	}
	all := make(map[string][]gcsfault.Fault)
	add := func(times int, faults ...gcsfault.Fault) {
		for _, f := range faults {
			if kinds := only[f.String()]; kinds == nil || slices.Contains(kinds, kind) {
				all[f.String()] = slices.Repeat([]gcsfault.Fault{f}, times)
			}
		}
	}
	add(3, gcsfault.Transient...)
	add(1, gcsfault.Stalls...)
	add(1, gcsfault.DamagedBody)
	return all
}

// group runs functions concurrently, but not so many that they stall for want of the
// processor.
type group struct {
	sync.WaitGroup
	free chan struct{}
}

func newGroup() *group { return &group{free: make(chan struct{}, 24)} }

func (g *group) run(f func()) {
	g.free <- struct{}{}
	g.Go(func() {
		f()
		<-g.free
	})
}

// Every call succeeds although a request fails three times in a row, or stalls.
func TestRecovery(t *testing.T) {
	proxy, opts := newProxy(t, gcsfault.Options{Stall: 2 * time.Second, PageSize: 1})
	s := openWith(t, opts)
	all := newGroup()
	for name, op := range operations {
		for disturbance, faults := range disturbances(op.kind) {
			key := strings.ReplaceAll(name+"/"+disturbance, " ", "-")
			if op.existing {
				op.create(t, s, key)
			}
			of := func(kind gcsfault.Kind) func(gcsfault.Request) bool {
				return func(r gcsfault.Request) bool { return r.Kind == kind && r.Object == "lake/"+key }
			}
			for kind, fault := range op.before {
				proxy.Next(of(kind), fault)
			}
			proxy.Next(of(op.kind), faults...)
			all.run(func() {
				if err := op.call(t.Context(), s, key, op.data); err != nil {
					t.Errorf("%s, %s: %v", name, disturbance, err)
				}
			})
		}
	}
	all.Wait()
	if n := proxy.Counts().Total(); n < 300 {
		t.Errorf("only %d requests were disturbed", n)
	}
}

// Objects of the sizes at which the way of sending or reading changes arrive unchanged,
// also if the first attempt to send them fails.
func TestSizes(t *testing.T) {
	proxy, opts := newProxy(t, gcsfault.Options{})
	opts.Timeout = 2 * time.Second
	s := openWith(t, opts)
	for _, limit := range []int{0, 256 << 10, 1 << 20, 8 << 20} {
		for size := max(limit-1, 0); size <= limit+1; size++ {
			for _, first := range []gcsfault.Fault{gcsfault.None, gcsfault.ResetDuring} {
				key, data := strings.ReplaceAll(fmt.Sprint(size, first), " ", "-"), sized(size)
				proxy.Next(gcsfault.Of(gcsfault.Upload, gcsfault.Send), first)
				if err := upload(t.Context(), s, key, data); err != nil {
					t.Errorf("%s: %v", key, err)
					continue
				}
				if err := download(t.Context(), s, key, data); err != nil {
					t.Errorf("%s: %v", key, err)
				}
			}
		}
	}
}

// A call that fails again and again ends. Its error has the reason and no secret.
func TestGivingUp(t *testing.T) {
	proxy, opts := newProxy(t, gcsfault.Options{Stall: 2 * time.Second, PageSize: 1})
	other := openWith(t, opts)
	opts.Timeout = 100 * time.Millisecond
	s := openWith(t, opts)
	all := newGroup()
	var calls, reasons atomic.Int64
	for name, op := range operations {
		for fault, want := range map[*gcsfault.Fault]string{
			&gcsfault.Unavailable: "503 backendError", &gcsfault.RateLimit: "429 rateLimitExceeded",
			&gcsfault.ResetBefore: "connection", &gcsfault.StallRequest: "stalled",
		} {
			key := strings.ReplaceAll(name+"/"+fault.String(), " ", "-")
			if op.existing {
				op.create(t, other, key)
			}
			of := func(kind gcsfault.Kind) func(gcsfault.Request) bool {
				return func(r gcsfault.Request) bool { return r.Kind == kind && r.Object == "lake/"+key }
			}
			for kind, first := range op.before {
				proxy.Next(of(kind), first)
			}
			proxy.Always(of(op.kind), *fault)
			all.run(func() {
				err := op.call(t.Context(), s, key, op.data)
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%s, %s: the error is %v, want context.DeadlineExceeded", name, fault, err)
					return
				}
				calls.Add(1)
				if strings.Contains(err.Error(), want) {
					reasons.Add(1)
				} else if !strings.Contains(err.Error(), "stalled") { // on a busy machine
					t.Errorf("%s, %s: the error %q does not contain %q", name, fault, err, want)
				}
				for _, text := range []string{s.URI(key), "no progress in 1s"} {
					if !strings.Contains(err.Error(), text) {
						t.Errorf("%s, %s: the error %q does not contain %q", name, fault, err, text)
					}
				}
				for _, secret := range []string{"upload_id", "example.com"} {
					if strings.Contains(err.Error(), secret) {
						t.Errorf("%s, %s: the error %q contains %s", name, fault, err, secret)
					}
				}
			})
		}
	}
	all.Wait()
	if calls.Load() == 0 || reasons.Load() < calls.Load()/2 {
		t.Errorf("%d of %d errors have the reason", reasons.Load(), calls.Load())
	}
}

// A download whose checksum is wrong is repeated, if the caller does not have it yet.
func TestDamagedDownload(t *testing.T) {
	proxy, opts := newProxy(t, gcsfault.Options{})
	s := openWith(t, opts)
	small, large := sized(1000), sized(3<<20)
	put := func(key string, data []byte) store.Object {
		o, err := s.Put(t.Context(), key, store.ContentOf(data, ""), store.Condition{})
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	put("small", small)
	stored := put("large", large)
	for _, fault := range []gcsfault.Fault{gcsfault.DamagedDownload, gcsfault.WrongHash} {
		t.Run(fault.String(), func(t *testing.T) {
			proxy.Next(gcsfault.Of(gcsfault.Download), fault, fault)
			if err := download(t.Context(), s, "small", small); err != nil {
				t.Errorf("Open: %v", err)
			}
			proxy.Next(gcsfault.Of(gcsfault.Download), fault, fault)
			file, err := store.OpenFile(t.Context(), s, stored, t.TempDir())
			if err != nil {
				t.Fatalf("OpenFile: %v", err)
			}
			defer file.Close()
			got := make([]byte, len(large))
			if _, err := file.ReadAt(got, 0); err != nil || !bytes.Equal(got, large) {
				t.Errorf("OpenFile returns other bytes, error %v", err)
			}
			proxy.Next(gcsfault.Of(gcsfault.Download), fault)
			if err := download(t.Context(), s, "large", large); !errors.Is(err, store.ErrCorrupt) {
				t.Errorf("a large download returns %v, want ErrCorrupt", err)
			}
		})
	}
	t.Run("again and again", func(t *testing.T) {
		proxy.Always(gcsfault.Of(gcsfault.Download), gcsfault.DamagedDownload)
		defer proxy.Calm()
		if err := download(t.Context(), s, "small", small); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("Open returns %v, want ErrCorrupt", err)
		}
		if _, err := store.OpenFile(t.Context(), s, stored, t.TempDir()); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("OpenFile returns %v, want ErrCorrupt", err)
		}
	})
}
