package gcs_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/storage"

	"prospector/sink/store"
	"prospector/sink/store/gcs"
)

func TestEveryCallHasADeadline(t *testing.T) {
	f := newFront(t)
	data := strings.Repeat("more than buffers hold ", 1_000_000)
	put(t, open(t, bucket, "lake"), "a", data)
	limited := func(t *testing.T, timeout time.Duration) *gcs.Store {
		s, err := gcs.Open(t.Context(), bucket, "lake", gcs.Options{Timeout: timeout})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	s := limited(t, 40*time.Millisecond)
	silent := func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
		io.Copy(io.Discard, r.Body) // otherwise the server would not notice that the client disconnects
		<-r.Context().Done()
	}
	for name, call := range callsOf(s) {
		t.Run("silent/"+name, func(t *testing.T) {
			f.disturb(everything, slices.Repeat([]fault{silent}, 100)...)
			if err := call(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("it returns %v, want context.DeadlineExceeded", err)
			}
		})
	}
	t.Run("unavailable", func(t *testing.T) {
		f.disturb(everything, slices.Repeat([]fault{unavailable}, 100)...)
		if err := callsOf(s)["Stat"](t.Context()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("it returns %v, want context.DeadlineExceeded", err)
		}
	})
	t.Run("limits each wait, not the life of a reader", func(t *testing.T) {
		f.disturb(nil)
		s := limited(t, 200*time.Millisecond)
		r, err := s.Open(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		time.Sleep(300 * time.Millisecond) // a slow caller
		if got, err := io.ReadAll(r); string(got) != data {
			t.Errorf("%d bytes were read, error %v", len(got), err)
		}
	})
}

// callsOf returns calls of all methods that send requests, for the object "a".
func callsOf(s store.Store) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"Stat": func(ctx context.Context) error {
			_, err := s.Stat(ctx, "a")
			return err
		},
		"Open": func(ctx context.Context) error {
			_, err := s.Open(ctx, "a")
			return err
		},
		"List": func(ctx context.Context) error {
			for _, err := range s.List(ctx, "") {
				return err
			}
			return nil
		},
		"Put": func(ctx context.Context) error {
			_, err := s.Put(ctx, "a", store.ContentOf([]byte("x"), ""), store.Condition{})
			return err
		},
		"Put with a condition": func(ctx context.Context) error {
			_, err := s.Put(ctx, "a", store.ContentOf([]byte("x"), ""), store.IfAbsent())
			return err
		},
		"Delete": func(ctx context.Context) error { return s.Delete(ctx, "a", store.Condition{}) },
	}
}

func TestErrors(t *testing.T) {
	f := newFront(t)
	s := open(t, bucket, "lake")
	put(t, s, "a", "one")
	const personal = "someone@example.com"
	answer := func(status int) fault {
		return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			message := personal + " does not have storage access"
			if status == http.StatusNotFound {
				message = "The specified bucket does not exist."
			}
			io.WriteString(w, `{"error": {"code": 0, "message": "`+message+`", "errors": [{"message": "`+message+`"}]}}`)
		}
	}
	for status, want := range map[int]string{
		http.StatusForbidden:    "storage.objects.",
		http.StatusUnauthorized: "gcloud auth application-default login",
		http.StatusNotFound:     "the bucket prospector does not exist; create it",
		http.StatusBadRequest:   "400 Bad Request",
	} {
		for method, call := range callsOf(s) {
			t.Run(http.StatusText(status)+"/"+method, func(t *testing.T) {
				f.disturb(everything, answer(status), answer(status))
				err := call(t.Context())
				if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "gs://prospector/lake") {
					t.Errorf("the error is %v, want one with %q", err, want)
				}
				if err != nil && strings.Contains(err.Error(), personal) {
					t.Errorf("the error contains text of the response: %v", err)
				}
				if errors.Is(err, store.ErrNotExist) || errors.Is(err, store.ErrCondition) {
					t.Errorf("the error %v claims that the object does not exist or has changed", err)
				}
			})
		}
	}
}

func TestOpen(t *testing.T) {
	newFront(t)
	for name, test := range map[string]struct{ bucket, prefix, want string }{
		"no bucket":         {"", "", "not the name of a bucket"},
		"a URI for bucket":  {"gs://prospector", "", "not the name of a bucket"},
		"a missing bucket":  {"missing", "", "the bucket missing does not exist; create it"},
		"a broken prefix":   {bucket, "a//b", "a//b"},
		"a relative prefix": {bucket, "../b", "../b"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := gcs.Open(t.Context(), test.bucket, test.prefix, gcs.Options{})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Open returns %v, want an error with %q", err, test.want)
			}
		})
	}
	t.Run("nothing answers", func(t *testing.T) {
		t.Setenv(emulator, "127.0.0.1:1")
		_, err := gcs.Open(t.Context(), bucket, "", gcs.Options{Timeout: 50 * time.Millisecond})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Open returns %v, want context.DeadlineExceeded", err)
		}
	})
	t.Run("no credentials", func(t *testing.T) {
		t.Setenv(emulator, "")
		t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nonexistent.json")
		_, err := gcs.Open(t.Context(), bucket, "", gcs.Options{})
		if err == nil || !strings.Contains(err.Error(), "gcloud auth application-default login") {
			t.Errorf("Open returns %v", err)
		}
	})
}

func TestPrefix(t *testing.T) {
	newFront(t)
	root, lake := open(t, bucket, ""), open(t, bucket, "/lake/")
	for _, key := range []string{"lake/a", "lake2/a", "lake"} {
		put(t, root, key, key)
	}
	client, err := storage.NewClient(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.Bucket(bucket).Object("lake/folder/").NewWriter(t.Context()).Close(); err != nil {
		t.Fatal(err)
	}
	var keys []string
	for e, err := range lake.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, e.Key)
	}
	if strings.Join(keys, " ") != "a" {
		t.Errorf("List returns %q", keys)
	}
	if got := lake.URI("") + " " + lake.URI("a") + " " + root.URI(""); got != "gs://prospector/lake gs://prospector/lake/a gs://prospector" {
		t.Errorf("the URIs are %s", got)
	}
}
