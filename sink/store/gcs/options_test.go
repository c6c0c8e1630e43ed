package gcs_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"prospector/internal/attribute"
	"prospector/sink/store"
	"prospector/sink/store/gcs"
)

// request is a request to the service, with the beginning of its body.
type request struct {
	*http.Request
	body string
}

// record returns a function that returns the requests to the service so far.
func record(f *front) func() []request {
	var mu sync.Mutex
	var all []request
	service := f.service
	f.service = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		mu.Lock()
		all = append(all, request{r.Clone(r.Context()), string(body[:min(len(body), 1000)])})
		mu.Unlock()
		service.ServeHTTP(w, r)
	})
	return func() []request {
		mu.Lock()
		defer mu.Unlock()
		return all
	}
}

// Every request names the project that pays, and every new object has the storage class,
// the encryption key and the metadata of the options.
func TestOptions(t *testing.T) {
	f := newFront(t)
	requests := record(f)
	const key = "projects/acme/locations/eu/keyRings/lake/cryptoKeys/rows"
	s, err := gcs.Open(t.Context(), bucket, "lake", gcs.Options{
		UserProject: "acme-billing", KMSKeyName: key, StorageClass: "NEARLINE", Metadata: map[string]string{"team": "leasing"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	put(t, s, "small", "one")
	put(t, s, "small", "two")
	put(t, s, "large", strings.Repeat("x", 9<<20)) // a resumable session
	f.disturb(uploads, unavailable)
	put(t, s, "repeated", strings.Repeat("x", 1<<20)) // one request, and then a session
	f.disturb(nil)
	for key := range map[string]bool{"small": true, "large": true} {
		r, err := s.Open(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, r); err != nil {
			t.Error(err)
		}
		r.Close()
	}
	for _, err := range s.List(t.Context(), "") {
		if err != nil {
			t.Error(err)
		}
	}
	if _, err := s.Written(t.Context(), "small"); err != nil {
		t.Error(err)
	}
	if err := s.Delete(t.Context(), "small", store.Condition{}); err != nil {
		t.Error(err)
	}

	created := 0
	for _, r := range requests() {
		query := r.URL.Query()
		if query.Get("upload_id") != "" {
			continue // the session has what its first request says
		}
		if query.Get("userProject") != "acme-billing" {
			t.Errorf("%s %s names no project", r.Method, r.URL)
		}
		if !uploads(r.Request) {
			continue
		}
		created++
		if query.Get("kmsKeyName") != key {
			t.Errorf("%s %s names no key", r.Method, r.URL)
		}
		for _, want := range []string{`"storageClass":"NEARLINE"`, `"team":"leasing"`} {
			if !strings.Contains(r.body, want) {
				t.Errorf("%s %s has no %s: %s", r.Method, r.URL, want, r.body)
			}
		}
	}
	if created < 4 {
		t.Errorf("%d requests create objects, want 4: two small ones, a session, and a session after a fault", created)
	}
}

// Without options, the objects have the defaults of the bucket.
func TestNoOptions(t *testing.T) {
	f := newFront(t)
	requests := record(f)
	put(t, open(t, bucket, ""), "a", "one")
	for _, r := range requests() {
		for _, unwanted := range []string{"userProject", "kmsKeyName", "storageClass"} {
			if strings.Contains(r.URL.RawQuery+r.body, unwanted) {
				t.Errorf("%s %s has %s: %s", r.Method, r.URL, unwanted, r.body)
			}
		}
	}
}

func TestParallelism(t *testing.T) {
	newFront(t)
	for parallelism, want := range map[int]int{0: 16, 1: 1, 200: 200} {
		s, err := gcs.Open(t.Context(), bucket, "", gcs.Options{Parallelism: parallelism})
		if err != nil {
			t.Fatal(err)
		}
		if got := store.Concurrency(s); got != want {
			t.Errorf("with parallelism %d, the concurrency is %d, want %d", parallelism, got, want)
		}
		s.Close()
	}
}

// The messages are in the golden files of package config.
func TestOptionValues(t *testing.T) {
	checks := map[string]func(text string) *attribute.Problem{}
	for _, name := range attribute.Names(new(gcs.Settings).Attributes()) {
		checks[name] = func(text string) *attribute.Problem {
			s := new(gcs.Settings)
			for _, a := range s.Attributes() {
				if a.Name != name {
					continue
				}
				switch v := a.Value.(type) {
				case *string:
					*v = text
				case *map[string]string:
					*v = map[string]string{text: text}
				}
				return a.Check(text)
			}
			return nil
		}
	}
	for name, values := range map[string]struct{ valid, invalid []string }{
		"impersonate_service_account": {
			valid:   []string{"", "lake@acme.iam.gserviceaccount.com", "lake@acme.example.com.iam.gserviceaccount.com", "1-compute@developer.gserviceaccount.com", "acme@appspot.gserviceaccount.com"},
			invalid: []string{"lake", "lake@", "lake@example.com", "a b@acme.iam.gserviceaccount.com", "lake@acme.iam.gserviceaccount.com.evil.com", "lake@acme.iam.gserviceaccount.com/../x"},
		},
		"user_project": {
			valid:   []string{"", "acme-billing", "example.com:acme-billing", "123456789012"},
			invalid: []string{"acme", "Acme-Billing", "acme billing", "acme-", "projects/acme-billing", "acme&billing"},
		},
		"kms_key_name": {
			valid:   []string{"", "projects/acme/locations/europe-west1/keyRings/lake/cryptoKeys/rows", "projects/example.com:acme/locations/eu/keyRings/l/cryptoKeys/r"},
			invalid: []string{"rows", "projects/acme/locations/eu/keyRings/lake/cryptoKeys/", "projects/acme/locations/eu/keyRings/lake/cryptoKeys/rows/cryptoKeyVersions/1", "/projects/acme/locations/eu/keyRings/lake/cryptoKeys/rows"},
		},
		"endpoint": {
			valid: []string{"", "https://storage.googleapis.com", "https://storage-acme.p.googleapis.com/storage/v1/", "http://localhost:4443", "http://127.0.0.1:1/", "http://[::1]:4443"},
			invalid: []string{"storage.googleapis.com", "http://example.com", "http://127.0.0.1.example.com", "https://", "ftp://127.0.0.1", "https://a:b@example.com", "https://example.com/x",
				"https://example.com?x=1", "https://example.com#x", "https://exa mple.com", "http://localhost@example.com"},
		},
		"metadata": {
			valid:   []string{"team", "cost-center_1.2", "Team", strings.Repeat("x", 4000)},
			invalid: []string{"", "a b", "a:b", "é", "a\nb", "prospector-write", "Prospector-X", strings.Repeat("x", 4100)},
		},
	} {
		for _, text := range values.valid {
			if problem := checks[name](text); problem != nil {
				t.Errorf("%s %.60q is not valid: %v", name, text, problem)
			}
		}
		for _, text := range values.invalid {
			if checks[name](text) == nil {
				t.Errorf("%s %.60q is valid", name, text)
			}
		}
	}
}
