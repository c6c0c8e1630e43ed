package gcs

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"

	"cloud.google.com/go/auth"
	"cloud.google.com/go/auth/credentials"
	"cloud.google.com/go/auth/credentials/impersonate"
	"cloud.google.com/go/storage"
	"google.golang.org/api/option"
	"google.golang.org/api/option/internaloption"
	transport "google.golang.org/api/transport/http"
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
func (o Options) connect(ctx context.Context) (*http.Client, *url.URL, error) {
	options := []option.ClientOption{
		internaloption.WithDefaultEndpointTemplate("https://storage.UNIVERSE_DOMAIN" + apiPath),
		internaloption.WithDefaultMTLSEndpoint("https://storage.mtls.googleapis.com" + apiPath),
	}
	root, err := o.root()
	if err != nil {
		return nil, nil, err
	}
	if root != nil {
		options = append(options, option.WithEndpoint(root.JoinPath(apiPath).String()))
	}
	if o.anonymous(root) {
		options = append(options, option.WithoutAuthentication())
	} else {
		identity, err := o.identity()
		if err != nil {
			return nil, nil, err
		}
		options = append(options, option.WithAuthCredentials(identity))
	}
	base := newTransport()
	authenticating, err := transport.NewTransport(ctx, base, options...)
	if err != nil {
		return nil, nil, err
	}
	client := &http.Client{Transport: &bounded{authenticating, o.Timeout, base.CloseIdleConnections}}
	_, endpoint, err := transport.NewClient(ctx, append(options, option.WithHTTPClient(client))...)
	if err != nil {
		return nil, nil, err
	}
	api, err := url.Parse(endpoint)
	return client, api, err
}

// root returns the URL of the host that the environment or the options name, or nil for
// the service itself.
func (o Options) root() (*url.URL, error) {
	host := os.Getenv(emulator)
	if host == "" {
		if o.Endpoint == "" {
			return nil, nil
		}
		return url.Parse(strings.TrimSuffix(o.Endpoint, strings.TrimSuffix(apiPath, "/")))
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

// anonymous reports whether requests have no credentials: those to an emulator. An
// endpoint on this machine is an emulator unless the options name an identity.
func (o Options) anonymous(root *url.URL) bool {
	if os.Getenv(emulator) != "" {
		return true
	}
	return root != nil && root.Scheme == "http" && o.Credentials == "" && o.ImpersonateServiceAccount == ""
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
		return nil, err
	}
	own, err := credentials.NewCredentialsFromJSON(key.kind, key.content, &credentials.DetectOptions{Scopes: scopes})
	if err != nil {
		return nil, errUnusableKey // err may quote the key
	}
	return own, nil
}

// isLoopback reports whether a host is this machine.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}
