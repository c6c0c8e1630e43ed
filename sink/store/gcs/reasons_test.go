package gcs

import (
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"
	"google.golang.org/api/googleapi"
)

// forms are the forms of a response with a reason. The message has an e-mail address and
// the number of a project.
var forms = map[string]string{
	"errors":  `{"error": {"code": CODE, "message": "MESSAGE", "errors": [{"domain": "global", "reason": "REASON", "message": "MESSAGE"}]}}`,
	"details": `{"error": {"code": CODE, "message": "MESSAGE", "details": [{"reason": "REASON", "metadata": {"consumer": "MESSAGE"}}], "status": "PERMISSION_DENIED"}}`,
	"status":  `{"error": {"code": CODE, "message": "MESSAGE", "status": "REASON"}}`,
	"XML":     `<?xml version='1.0' encoding='UTF-8'?><Error><Code>REASON</Code><Message>MESSAGE</Message><Details>MESSAGE</Details></Error>`,
}

// statuses are the statuses of responses with a reason, by the first reason of its advice.
// Others have 403.
var statuses = map[string]int{
	"authError": 401, "NoSuchBucket": 404, "orgPolicyConstraintFailed": 412, "rateLimitExceeded": 429, "backendError": 503,
	"uploadBrokenConnection": 408, "conflict": 409, "invalidStorageClass": 400, "invalid": 400, "methodNotAllowed": 405,
}

// TestReasons receives every reason in every form from a server.
func TestReasons(t *testing.T) {
	const message = personal + " does not have access to project 123456789012"
	type answer struct {
		advice *advice
		reason string
		status int
		body   string
	}
	retried := func(status int) bool { return status == 408 || status == 429 || status >= 500 }
	answers := make(map[string]answer)
	for i := range advices {
		a := &advices[i]
		for _, reason := range a.reasons {
			for form, body := range forms {
				status := statuses[a.reasons[0]]
				if status == 0 {
					status = http.StatusForbidden
				}
				name := fmt.Sprintf("%s in %s", reason, form)
				answers[name] = answer{a, reason, status, strings.NewReplacer("REASON", reason, "MESSAGE", message, "CODE", strconv.Itoa(status)).Replace(body)}
			}
		}
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a, ok := answers[path.Base(r.URL.Path)]; ok {
			w.WriteHeader(a.status)
			fmt.Fprint(w, a.body)
			return
		}
		fmt.Fprint(w, "{}") // the list with which Open begins
	}))
	defer server.Close()
	t.Setenv("STORAGE_EMULATOR_HOST", server.URL)
	s, err := Open(t.Context(), "acme", "", Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	call := func(name string, retried bool) error {
		if !retried {
			_, err := s.Stat(t.Context(), name)
			return err
		}
		r, err := http.Get(server.URL + "/" + url.PathEscape(name))
		if err != nil {
			return err
		}
		defer r.Body.Close()
		return s.failure(t.Context(), describing, name, googleapi.CheckResponse(r))
	}

	var group errgroup.Group
	group.SetLimit(16)
	for name, a := range answers {
		group.Go(func() error {
			err := call(name, retried(a.status))
			if err == nil {
				t.Errorf("%s: no error", name)
				return nil
			}
			if want := fmt.Sprintf("%d %s", a.status, a.reason); !strings.Contains(err.Error(), want) {
				t.Errorf("%s: the error is %q, want one with %q", name, err, want)
			}
			words := strings.NewReplacer("BUCKET", "acme", "OBJECT", "gs://acme/"+name, "PERMISSION", "storage.objects.get", "ROLE", "roles/storage.objectViewer")
			for _, want := range []string{a.advice.means, a.advice.do} {
				if !strings.Contains(err.Error(), words.Replace(want)) {
					t.Errorf("%s: the error is %q, want one with %q", name, err, want)
				}
			}
			if strings.Contains(err.Error(), "example.com") || strings.Contains(err.Error(), "123456789012") {
				t.Errorf("%s: the error %q contains text of the response", name, err)
			}
			return nil
		})
	}
	group.Wait()
}

// The service explains some errors only in its message.
func TestSigns(t *testing.T) {
	for name, test := range map[string]struct {
		status  int
		body    string
		reason  string // that is shown
		meaning string // a reason with the same advice
	}{
		"a hold": {403, `{"error": {"message": "Object 'acme/a' is under active Temporary hold and cannot be deleted, overwritten or archived until hold is removed.", "errors": [{"reason": "forbidden"}]}}`,
			"forbidden", "objectUnderActiveHold"},
		"an event-based hold": {403, `{"error": {"message": "Object 'acme/a' is under active Event-Based hold and cannot be deleted.", "errors": [{"reason": "forbidden"}]}}`,
			"forbidden", "objectUnderActiveHold"},
		"a key": {403, `{"error": {"message": "Permission denied on Cloud KMS key. Please ensure that your Cloud Storage service account has been authorized to use this key.", "errors": [{"reason": "forbidden"}]}}`,
			"forbidden", "kmsPermissionDenied"},
		"a perimeter": {403, `{"error": {"message": "Request is prohibited by organization's policy. vpcServiceControlsUniqueIdentifier: 1A2B", "errors": [{"reason": "forbidden"}]}}`,
			"forbidden", "vpcServiceControls"},
		"Requester Pays": {400, `{"error": {"message": "Bucket is a requester pays bucket but no user project provided.", "errors": [{"reason": "required"}]}}`,
			"required", "userProjectMissing"},
		"a user project": {403, `{"error": {"message": "a@b.c does not have serviceusage.services.use access to the Google Cloud project.", "errors": [{"reason": "forbidden"}]}}`,
			"forbidden", "UserProjectAccessDenied"},
		"billing": {403, `{"error": {"message": "The billing account for the owning project is disabled in state absent", "errors": [{"reason": "forbidden"}]}}`,
			"forbidden", "accountDisabled"},
		"a storage class": {400, `{"error": {"message": "Invalid storage class", "errors": [{"reason": "invalid"}]}}`,
			"invalid", "invalidStorageClass"},
		"no login":                      {401, `{"error": {"message": "Login Required", "errors": [{"reason": "required"}]}}`, "required", "authError"},
		"a constraint":                  {412, `{"error": {"message": "constraints/gcp.restrictNonCmekServices", "errors": [{"reason": "conditionNotMet"}]}}`, "conditionNotMet", "orgPolicyConstraintFailed"},
		"a violation":                   {403, `{"error": {"errors": [{"reason": "forbidden"}], "details": [{"violations": [{"type": "VPC_SERVICE_CONTROLS"}]}]}}`, "VPC_SERVICE_CONTROLS", "vpcServiceControls"},
		"a name with the words of sign": {403, `{"error": {"message": "no access to constraints/ in storage class", "errors": [{"reason": "forbidden"}]}}`, "forbidden", "forbidden"},
		"free text as reason":           {403, `{"error": {"errors": [{"reason": "` + personal + `"}, {"reason": "two words"}]}}`, "Forbidden", "forbidden"},
		"a page of a proxy":             {503, `<html><body>` + personal + `</body></html>`, "Service Unavailable", "backendError"},
		"two objects":                   {403, `{"error": {"errors": [{"reason": "forbidden"}]}} {}`, "Forbidden", "forbidden"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRefusal(test.status, reasonsIn([]byte(test.body)), test.body)
			if want := fmt.Sprintf("%d %s", test.status, test.reason); !strings.HasPrefix(r.Error(), want) || !r.is(test.meaning) {
				t.Errorf("the refusal is %q with the advice of %q", r, r.advice.reasons)
			}
		})
	}
}

func TestEveryReasonHasOneAdvice(t *testing.T) {
	for i := range advices {
		for _, reason := range advices[i].reasons {
			if !token.MatchString(reason) || find(reason) != &advices[i] {
				t.Errorf("the reason %q is not found, or is twice in the table", reason)
			}
		}
	}
	for _, sign := range signs {
		if find(sign.reason) == nil || sign.part != strings.ToLower(sign.part) {
			t.Errorf("the sign %q is not found", sign.part)
		}
	}
}

var update = flag.Bool("update", false, "write the table of reasons to docs/gcs.md")

// The page docs/gcs.md has the table of reasons.
func TestDocs(t *testing.T) {
	const file, begin, end = "../../../docs/gcs.md", "| reason | meaning | what to do |\n| --- | --- | --- |\n", "\n\n"
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, hasTable := strings.Cut(string(page), begin)
	table, after, _ := strings.Cut(rest, end)
	if !hasTable {
		t.Fatalf("%s has no table that begins with %q", file, begin)
	}
	var rows []string
	for _, a := range advices {
		rows = append(rows, fmt.Sprintf("| `%s` | %s | %s |", strings.Join(a.reasons, "`, `"), a.means, a.do))
	}
	want := strings.Join(rows, "\n")
	if *update {
		if err := os.WriteFile(file, []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if table != want {
		t.Errorf("the table in %s does not have the reasons and advice of this package; run this test with -update", file)
	}
}
