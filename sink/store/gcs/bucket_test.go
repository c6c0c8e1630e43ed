package gcs_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"cloud.google.com/go/storage"
	"prospector/sink/store"
	"prospector/sink/store/gcs"
)

// openBucket opens a bucket of a server that has no objects and returns these settings,
// or the status if it is not 200.
func openBucket(t *testing.T, status int, settings string) *gcs.Store {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case strings.HasSuffix(r.URL.Path, "/o"):
			fmt.Fprint(w, `{"kind": "storage#objects"}`)
		case status != http.StatusOK:
			w.WriteHeader(status)
			fmt.Fprintf(w, `{"error": {"code": %d, "message": "someone@example.com does not have storage.buckets.get access"}}`, status)
		default:
			fmt.Fprint(w, settings)
		}
	}))
	t.Cleanup(server.Close)
	t.Setenv(emulator, server.URL)
	return open(t, "acme", "lake")
}

func TestAdvise(t *testing.T) {
	for _, test := range []struct {
		name, settings string
		want           []store.Advice // of the detail, only a part
	}{
		{"nothing", `{}`, nil},
		{"everything is off", `{"versioning": {"enabled": false}, "softDeletePolicy": {"retentionDurationSeconds": "0"}, "autoclass": {"enabled": false}, "hierarchicalNamespace": {"enabled": false}}`, nil},
		{"versioning", `{"versioning": {"enabled": true}}`, []store.Advice{
			{Retains: true, Summary: "gs://acme keeps noncurrent versions of objects", Detail: "gcloud storage buckets update gs://acme --no-versioning\n"},
		}},
		{"soft delete", `{"softDeletePolicy": {"retentionDurationSeconds": "604800"}}`, []store.Advice{
			{Retains: true, Summary: "gs://acme keeps deleted objects for 7 days", Detail: "gcloud storage buckets update gs://acme --clear-soft-delete\n"},
		}},
		{"retention", `{"retentionPolicy": {"effectiveTime": "2022-01-01T00:00:00Z", "retentionPeriod": "86400"}}`, []store.Advice{
			{Retains: true, Summary: "gs://acme has a retention policy", Detail: "until they are 1 day old"},
		}},
		{"locked retention", `{"retentionPolicy": {"effectiveTime": "2022-01-01T00:00:00Z", "retentionPeriod": "5400", "isLocked": true}}`, []store.Advice{
			{Retains: true, Summary: "gs://acme has a locked retention policy", Detail: "until they are 1h30m0s old"},
		}},
		{"holds", `{"defaultEventBasedHold": true}`, []store.Advice{
			{Retains: true, Summary: "gs://acme holds new objects", Detail: "gcloud storage objects update 'gs://acme/PREFIX/**' --no-event-based-hold"},
		}},
		{"notes", `{"autoclass": {"enabled": true, "toggleTime": "2022-01-01T00:00:00Z"}, "hierarchicalNamespace": {"enabled": true}}`, []store.Advice{
			{Note: true, Summary: "gs://acme has Autoclass", Detail: "storage_class has no effect"},
			{Note: true, Summary: "gs://acme has a hierarchical namespace", Detail: "empty folder"},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			wantAdvice(t, openBucket(t, http.StatusOK, test.settings), test.want)
		})
	}
}

func wantAdvice(t *testing.T, s store.Store, want []store.Advice) {
	t.Helper()
	got := store.Advise(t.Context(), s)
	if len(got) != len(want) {
		t.Fatalf("the advice is %+v, want %d items", got, len(want))
	}
	for i, a := range got {
		if !strings.Contains(a.Detail, want[i].Detail) {
			t.Errorf("the detail of %q does not have %q:\n%s", a.Summary, want[i].Detail, a.Detail)
		}
		if a.Detail = want[i].Detail; a != want[i] {
			t.Errorf("the advice is %+v, want %+v", a, want[i])
		}
	}
}

// An account that may not read the settings of the bucket gets one note.
func TestAdviseWithoutPermission(t *testing.T) {
	s := openBucket(t, http.StatusForbidden, "")
	wantAdvice(t, s, []store.Advice{{
		Retains: true, Note: true, Summary: "The settings of gs://acme were not checked", Detail: "roles/storage.legacyBucketReader",
	}})
	if a := s.Advise(t.Context())[0]; strings.Contains(a.Detail, "example.com") {
		t.Errorf("the advice has the text of the response: %s", a.Detail)
	}
	wantAdvice(t, openBucket(t, http.StatusBadRequest, ""), []store.Advice{{
		Retains: true, Note: true, Summary: "The settings of gs://acme were not checked", Detail: "400",
	}})
}

// The lifecycle rule in the advice is one that the service accepts.
func TestAdviseLifecycle(t *testing.T) {
	detail := openBucket(t, http.StatusOK, `{"versioning": {"enabled": true}}`).Advise(t.Context())[0].Detail
	_, rest, _ := strings.Cut(detail, "echo '")
	text, _, _ := strings.Cut(rest, "'")
	var got struct {
		Rule []struct {
			Action    struct{ Type string }
			Condition struct{ IsLive *bool }
		}
	}
	if err := json.Unmarshal([]byte(text), &got); err != nil || len(got.Rule) != 1 || got.Rule[0].Action.Type != storage.DeleteAction ||
		got.Rule[0].Condition.IsLive == nil || *got.Rule[0].Condition.IsLive {
		t.Errorf("the rule is %q, %v", text, err)
	}
}

// The emulator has versioning alone.
func TestAdviseEmulator(t *testing.T) {
	bucket := newBucket(t)
	client, err := storage.NewClient(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	s := open(t, bucket, "lake")
	wantAdvice(t, s, nil)
	if _, err := client.Bucket(bucket).Update(t.Context(), storage.BucketAttrsToUpdate{VersioningEnabled: true}); err != nil {
		t.Fatal(err)
	}
	wantAdvice(t, s, []store.Advice{{Retains: true, Summary: "gs://" + bucket + " keeps noncurrent versions of objects"}})
}
