package gcs_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"prospector/internal/attribute"
	"prospector/sink/store/gcs"
)

// cloud is Cloud Storage together with the services that issue tokens. The text of a
// token says whose it is.
type cloud struct {
	storage *front
	url     string // of all services, over HTTPS
	plain   string // of all services, over HTTP

	mu   sync.Mutex
	seen map[string]int // requests to Cloud Storage by their token
	busy []int          // statuses of the next requests for a token
}

// newCloud starts a cloud on this machine. Every connection to port 443 of another host
// ends there.
func newCloud(t *testing.T) *cloud {
	t.Helper()
	c := &cloud{storage: newFront(t), seen: make(map[string]int)}
	for _, variable := range []string{emulator, "GOOGLE_APPLICATION_CREDENTIALS", "HTTPS_PROXY", "https_proxy"} {
		t.Setenv(variable, "")
	}
	t.Setenv("HOME", t.TempDir()) // where gcloud keeps credentials
	secure, plain := httptest.NewTLSServer(c), httptest.NewServer(c)
	t.Cleanup(secure.Close)
	t.Cleanup(plain.Close)
	c.url, c.plain = secure.URL, plain.URL

	network := http.DefaultTransport.(*http.Transport)
	here := network.Clone()
	here.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
	here.DialContext = func(ctx context.Context, kind, address string) (net.Conn, error) {
		if strings.HasSuffix(address, ":443") {
			address = secure.Listener.Addr().String()
		}
		return new(net.Dialer).DialContext(ctx, kind, address)
	}
	http.DefaultTransport = here
	t.Cleanup(func() { http.DefaultTransport = network })
	return c
}

func (c *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	email, isImpersonation := strings.CutSuffix(r.URL.Path, ":generateAccessToken")
	isToken := r.URL.Path == "/token"
	switch status := c.isBusy(isToken, isImpersonation); {
	case status != 0:
		w.WriteHeader(status)
	case isToken:
		c.issue(w, r)
	case isImpersonation:
		email = strings.TrimPrefix(email, "/v1/projects/-/serviceAccounts/")
		fmt.Fprintf(w, `{"accessToken": "%s through %s", "expireTime": "2099-01-01T00:00:00Z"}`, email, token)
	default:
		c.mu.Lock()
		c.seen[token]++
		c.mu.Unlock()
		c.storage.ServeHTTP(w, r)
	}
}

// isBusy returns the status with which a request for a token is refused, or 0.
func (c *cloud) isBusy(isToken, isImpersonation bool) (status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.busy) > 0 && (isToken || isImpersonation) {
		status, c.busy = c.busy[0], c.busy[1:]
	}
	return status
}

// issue issues a token for what the request proves.
func (c *cloud) issue(w http.ResponseWriter, r *http.Request) {
	whose := ""
	switch r.FormValue("grant_type") {
	case "urn:ietf:params:oauth:grant-type:jwt-bearer":
		var claims struct{ Iss, Scope string }
		part := strings.Split(r.FormValue("assertion"), ".")[1]
		if decoded, err := base64.RawURLEncoding.DecodeString(part); err != nil || json.Unmarshal(decoded, &claims) != nil {
			http.Error(w, "no assertion", http.StatusBadRequest)
			return
		}
		whose = claims.Iss
	case "refresh_token":
		whose = r.FormValue("refresh_token")
	case "urn:ietf:params:oauth:grant-type:token-exchange":
		whose = r.FormValue("subject_token")
	}
	if whose == "" || strings.Contains(whose, "hunter2") {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		io.WriteString(w, `{"error": "invalid_grant", "error_description": "hunter2 of someone@example.com is not valid"}`)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"access_token": %q, "issued_token_type": "urn:ietf:params:oauth:token-type:access_token", "token_type": "Bearer", "expires_in": 3600}`, whose)
}

// requests returns how many requests each token has authorized, and forgets them.
func (c *cloud) requests() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := c.seen
	c.seen = make(map[string]int)
	return seen
}

// keys returns a key of each type. A key contains where its tokens come from.
func (c *cloud) keys(t *testing.T) map[string]string {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	subject := filepath.Join(t.TempDir(), "subject")
	if err := os.WriteFile(subject, []byte("workload"), 0o600); err != nil {
		t.Fatal(err)
	}
	object := func(fields map[string]any) string {
		text, err := json.MarshalIndent(fields, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	user := map[string]any{"type": "authorized_user", "client_id": "a", "client_secret": "b", "refresh_token": "jane"}
	return map[string]string{
		"service_account": object(map[string]any{
			"type": "service_account", "client_email": "robot@acme.iam.gserviceaccount.com", "private_key_id": "1",
			"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})), "token_uri": c.plain + "/token",
		}),
		"authorized_user": object(user),
		"external_account": object(map[string]any{
			"type": "external_account", "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/providers/provider",
			"subject_token_type": "urn:ietf:params:oauth:token-type:jwt", "token_url": "https://sts.googleapis.com/token",
			"credential_source": map[string]string{"file": subject},
		}),
		"impersonated_service_account": object(map[string]any{
			"type": "impersonated_service_account", "source_credentials": user,
			"service_account_impersonation_url": "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/night@acme.iam.gserviceaccount.com:generateAccessToken",
		}),
	}
}

// Every request has the token of the identity that the options name.
func TestIdentity(t *testing.T) {
	c := newCloud(t)
	keys := c.keys(t)
	file := filepath.Join(t.TempDir(), "key.json")
	if err := os.WriteFile(file, []byte(keys["service_account"]), 0o600); err != nil {
		t.Fatal(err)
	}
	const robot, lake = "robot@acme.iam.gserviceaccount.com", "lake@acme.iam.gserviceaccount.com"
	for _, test := range []struct {
		name        string
		environment string // GOOGLE_APPLICATION_CREDENTIALS
		options     gcs.Options
		want        string
	}{
		{"the content of a key", "", gcs.Options{Credentials: attribute.Secret(keys["service_account"])}, robot},
		{"the path of a key", "", gcs.Options{Credentials: attribute.Secret(file)}, robot},
		{"a user", "", gcs.Options{Credentials: attribute.Secret(keys["authorized_user"])}, "jane"},
		{"workload identity federation", "", gcs.Options{Credentials: attribute.Secret(keys["external_account"])}, "workload"},
		{"a key that impersonates", "", gcs.Options{Credentials: attribute.Secret(keys["impersonated_service_account"])}, "night@acme.iam.gserviceaccount.com through jane"},
		{"the default", file, gcs.Options{}, robot},
		{"a key instead of the default", file, gcs.Options{Credentials: attribute.Secret(keys["authorized_user"])}, "jane"},
		{"the default impersonates", file, gcs.Options{ImpersonateServiceAccount: lake}, lake + " through " + robot},
		{"a user impersonates", "", gcs.Options{Credentials: attribute.Secret(keys["authorized_user"]), ImpersonateServiceAccount: lake}, lake + " through jane"},
		{"a workload impersonates", "", gcs.Options{Credentials: attribute.Secret(keys["external_account"]), ImpersonateServiceAccount: lake}, lake + " through workload"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", test.environment)
			test.options.Endpoint = c.url
			s, err := gcs.Open(t.Context(), bucket, "lake", test.options)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			put(t, s, "a", "one")
			calls := callsOf(s)
			for _, name := range []string{"Stat", "Open", "List", "Put", "Delete"} {
				if err := calls[name](t.Context()); err != nil {
					t.Errorf("%s returns %v", name, err)
				}
			}
			seen := c.requests()
			if len(seen) != 1 || seen[test.want] < 8 {
				t.Errorf("the requests by token are %v, want all with %q", seen, test.want)
			}
		})
	}
}

// A service that issues tokens may be busy for a moment, as the storage itself.
func TestBusyIssuer(t *testing.T) {
	c := newCloud(t)
	for kind, key := range c.keys(t) {
		for _, status := range []int{408, 429, 500, 502, 503, 504} {
			t.Run(fmt.Sprint(kind, " ", status), func(t *testing.T) {
				c.mu.Lock()
				c.busy = []int{status, status}
				c.mu.Unlock()
				options := gcs.Options{Endpoint: c.url, Credentials: attribute.Secret(key), Timeout: 100 * time.Millisecond}
				if kind != "impersonated_service_account" {
					options.ImpersonateServiceAccount = "lake@acme.iam.gserviceaccount.com"
				}
				s, err := gcs.Open(t.Context(), bucket, "", options)
				if err != nil {
					t.Fatal(err)
				}
				s.Close()
			})
		}
	}
}

// A token is not sent to an address where it could be read on the way.
func TestRedirect(t *testing.T) {
	c := newCloud(t)
	s, err := gcs.Open(t.Context(), bucket, "", gcs.Options{Endpoint: c.url, Credentials: attribute.Secret(c.keys(t)["authorized_user"])})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	put(t, s, "a", "one")
	redirect := func(to string) fault {
		return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			http.Redirect(w, r, to+r.URL.RequestURI(), http.StatusTemporaryRedirect)
		}
	}
	for to, want := range map[string]string{
		c.url:                        "",
		"http://storage.example.com": "the service redirected the request to an address that is not https; check endpoint and the proxy",
	} {
		c.storage.disturb(everything, redirect(to))
		_, err := s.Stat(t.Context(), "a")
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("after a redirect to %s, Stat returns %v, want %q", to, err, want)
		}
	}
	c.storage.disturb(everything, slices.Repeat([]fault{redirect(c.url)}, 20)...)
	if _, err := s.Stat(t.Context(), "a"); err == nil || !strings.Contains(err.Error(), "redirected the request 10 times") {
		t.Errorf("after 10 redirects, Stat returns %v", err)
	}
}

// An emulator gets no credentials, and nothing else is reached.
func TestNoIdentity(t *testing.T) {
	c := newCloud(t)
	key := attribute.Secret(c.keys(t)["authorized_user"])
	t.Run("an endpoint on this machine", func(t *testing.T) {
		s, err := gcs.Open(t.Context(), bucket, "", gcs.Options{Endpoint: c.plain})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if seen := c.requests(); len(seen) != 1 || seen[""] == 0 {
			t.Errorf("the requests by token are %v, want all without one", seen)
		}
	})
	t.Run("an endpoint on this machine with a key", func(t *testing.T) {
		s, err := gcs.Open(t.Context(), bucket, "", gcs.Options{Endpoint: c.plain, Credentials: key})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if seen := c.requests(); len(seen) != 1 || seen["jane"] == 0 {
			t.Errorf("the requests by token are %v, want all with the key's", seen)
		}
	})
	t.Run("STORAGE_EMULATOR_HOST has priority", func(t *testing.T) {
		t.Setenv(emulator, strings.TrimPrefix(c.plain, "http://"))
		s, err := gcs.Open(t.Context(), bucket, "", gcs.Options{Endpoint: "https://storage.invalid", Credentials: key, ImpersonateServiceAccount: "lake@acme.iam.gserviceaccount.com"})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if seen := c.requests(); len(seen) != 1 || seen[""] == 0 {
			t.Errorf("the requests by token are %v, want all without one", seen)
		}
	})
}

// Errors say what is wrong with credentials, without a part of them.
func TestUnusableCredentials(t *testing.T) {
	c := newCloud(t)
	dir := t.TempDir()
	write := func(name, content string) attribute.Secret {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return attribute.Secret(path)
	}
	keys := c.keys(t)
	damaged := fmt.Sprintf(`{"type": "service_account", "client_email": "hunter2", "private_key": %q}`,
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("hunter2")}))
	for _, test := range []struct {
		name        string
		credentials attribute.Secret
		want        string
	}{
		{"a missing file", attribute.Secret(filepath.Join(dir, "hunter2.json")), "neither a key in JSON nor the path of a file that can be read: no such file"},
		{"a directory", attribute.Secret(dir), "is a directory"},
		{"a key in base64", attribute.Secret(base64.StdEncoding.EncodeToString([]byte(keys["authorized_user"]))), "neither a key in JSON nor the path"},
		{"an empty file", write("empty", ""), "not a key in JSON"},
		{"a truncated file", write("truncated", `{"type": "hunter2`), "there is an error at byte 17 of 17"},
		{"a list", write("list", `["hunter2"]`), "a key is a JSON object"},
		{"another type", write("type", `{"type": "hunter2"}`), "use a key of the type authorized_user"},
		{"a type that is no text", write("number", `{"type": {"hunter2": 1}}`), "use a key of the type authorized_user"},
		{"the client of an application", write("client", `{"web": {"client_secret": "hunter2"}}`), "OAuth client of an application"},
		{"a missing field", write("field", `{"type": "authorized_user", "client_id": "hunter2", "client_secret": "hunter2"}`), "lack the field refresh_token"},
		{"an empty field", write("emptyfield", `{"type": "authorized_user", "client_id": "hunter2", "client_secret": "hunter2", "refresh_token": ""}`), "lack the field refresh_token"},
		{"a token from an unencrypted address", write("plain", strings.Replace(keys["external_account"], "https://sts", "http://sts", 1)), "the field token_url of the credentials is a URL that is neither https nor on this machine"},
		{"a large file", write("large", strings.Repeat("hunter2", 200_000)), "larger than 1 MiB"},
		{"no PEM", write("pem", `{"type": "service_account", "client_email": "hunter2", "private_key": "hunter2"}`), "not in PEM format"},
		{"a private key that is damaged", write("damaged", damaged), "private_key of the credentials is damaged"},
		{"a key that the service refuses", write("refused", strings.Replace(keys["authorized_user"], "jane", "hunter2", 1)), "no access token"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := gcs.Open(t.Context(), bucket, "", gcs.Options{Endpoint: c.url, Credentials: test.credentials})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("Open returns %v, want an error with %q", err, test.want)
			}
			for _, secret := range []string{"hunter2", "someone", test.credentials.Reveal()} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the error contains %q: %v", secret, err)
				}
			}
			if !strings.HasPrefix(err.Error(), "opening gs://prospector: ") && !strings.HasPrefix(err.Error(), "listing gs://prospector: ") {
				t.Errorf("the error does not begin with what failed: %v", err)
			}
		})
	}
}
