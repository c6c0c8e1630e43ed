package gcs

import (
	"cmp"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"

	"cloud.google.com/go/auth"
	"cloud.google.com/go/auth/credentials"
	"cloud.google.com/go/auth/credentials/impersonate"
	"cloud.google.com/go/auth/httptransport"
	"cloud.google.com/go/storage"

	"prospector/internal/attribute"
)

// emulator is the environment variable with the address of an emulator. It has priority
// over the endpoint of the options, so that a test never reaches the service.
const emulator = "STORAGE_EMULATOR_HOST"

// apiPath is the path of the service's JSON API.
const apiPath = "/storage/v1/"

// scopes limit what the tokens may be used for. The roles of an identity limit it
// further. The exchange of external credentials requires the second scope; see
// https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token.
var scopes = []string{storage.ScopeReadWrite, "https://www.googleapis.com/auth/cloud-platform"}

// connect returns a client that authenticates its requests, and the URL of the JSON API,
// such as https://storage.googleapis.com/storage/v1/. Uploads are sent to the same host.
func (o Options) connect() (*http.Client, *url.URL, error) {
	root, err := o.root()
	if err != nil {
		return nil, nil, err
	}
	base := newTransport()
	base.MaxIdleConnsPerHost = max(base.MaxIdleConnsPerHost, o.Parallelism)
	var network http.RoundTripper = base
	if !o.anonymous(root) {
		identity, err := o.identity()
		if err != nil {
			return nil, nil, err
		}
		authenticating, err := httptransport.NewClient(&httptransport.Options{
			Credentials: identity, BaseRoundTripper: base, UniverseDomain: universe(),
		})
		if err != nil {
			return nil, nil, fmt.Errorf("the credentials cannot be used: %w", sanitize(err))
		}
		network = authenticating.Transport
	}
	client := &http.Client{Transport: &bounded{network, o.Timeout, base.CloseIdleConnections}, CheckRedirect: checkRedirect}
	return client, root.JoinPath(apiPath), nil
}

// checkRedirect refuses to send a token to an address where it could be read on the way.
func checkRedirect(to *http.Request, from []*http.Request) error {
	switch {
	case !isSecure(to.URL.String()):
		return faultf("check endpoint and the proxy", "the service redirected the request to an address that is not https")
	case len(from) >= 10:
		return faultf("check endpoint and the proxy", "the service redirected the request %d times", len(from))
	}
	return nil
}

// root returns the URL of the host to which requests are sent.
func (o Options) root() (*url.URL, error) {
	host := os.Getenv(emulator)
	if host == "" {
		return url.Parse(cmp.Or(o.Endpoint, "https://storage."+universe()))
	}
	if !strings.Contains(host, "://") {
		host = "http://" + host
	}
	root, err := url.Parse(host)
	if err != nil {
		return nil, fmt.Errorf("%s is not an address such as 127.0.0.1:4443", emulator)
	}
	root.Path = ""
	return root, nil
}

// universe returns the domain of the cloud, which differs in clouds of Google's partners.
func universe() string { return cmp.Or(os.Getenv("GOOGLE_CLOUD_UNIVERSE_DOMAIN"), "googleapis.com") }

// anonymous reports whether requests have no credentials: those to an emulator. An
// endpoint on this machine is an emulator unless the options name an identity.
func (o Options) anonymous(root *url.URL) bool {
	if os.Getenv(emulator) != "" {
		return true
	}
	return root.Scheme == "http" && o.Credentials == "" && o.ImpersonateServiceAccount == ""
}

// identity returns the credentials of the options, or the application-default ones.
func (o Options) identity() (*auth.Credentials, error) {
	own, err := o.ownIdentity()
	if err != nil || o.ImpersonateServiceAccount == "" {
		return own, err
	}
	return impersonate.NewCredentials(&impersonate.CredentialsOptions{
		TargetPrincipal: o.ImpersonateServiceAccount, Scopes: scopes, Credentials: own,
	})
}

func (o Options) ownIdentity() (*auth.Credentials, error) {
	if o.Credentials == "" {
		own, err := credentials.DetectDefault(&credentials.DetectOptions{Scopes: scopes})
		if err != nil {
			return nil, fmt.Errorf("no usable Google credentials; set credentials, run gcloud auth application-default login, "+
				"or set GOOGLE_APPLICATION_CREDENTIALS to a key file: %w", sanitize(err))
		}
		return own, nil
	}
	key, err := readKey(o.Credentials)
	if err != nil {
		return nil, attribute.NewProblem("credentials", "Invalid credentials", "%v", err)
	}
	own, err := credentials.NewCredentialsFromJSON(key.kind, key.content, &credentials.DetectOptions{Scopes: scopes})
	if err != nil {
		return nil, errUnusableKey // err may quote the key
	}
	return own, nil
}

// isSecure reports whether what is sent to a URL is encrypted, or stays on this machine.
func isSecure(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http" && isLoopback(u.Hostname()))
}

// isLoopback reports whether a host is this machine.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}
