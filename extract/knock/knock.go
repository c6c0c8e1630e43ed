// Package knock describes the kind of source "knock": the Knock API at an endpoint.
package knock

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"prospector/extract"
	"prospector/internal/attribute"
)

// Kind is the kind of source "knock".
var Kind = &extract.Kind{
	Name:              "knock",
	New:               func() attribute.Settings { return new(Settings) },
	RequestsPerSecond: 10, // the vendor states no limit, so the default is polite
	Open: func(_ context.Context, s attribute.Settings, r extract.Requests) (extract.Source, error) {
		return Open(s.(*Settings), r)
	},
}

// Settings say where the API is.
type Settings struct {
	Endpoint string // absolute URL without a trailing slash
	APIKey   attribute.Secret
}

// Attributes implements attribute.Settings. The check of the endpoint depends on the
// key, so the key is decoded first.
func (s *Settings) Attributes() []attribute.Attribute {
	return []attribute.Attribute{
		{Name: "api_key", Value: &s.APIKey, Check: s.checkKey,
			Required: "the key from the vendor, preferably from a sensitive variable"},
		{Name: "endpoint", Value: &s.Endpoint, Check: s.checkEndpoint,
			Required: `the address of the API, such as "https://syndication.knockrentals.com"`},
	}
}

func (s *Settings) checkKey(string) *attribute.Problem {
	switch key := s.APIKey.Reveal(); {
	case key == "":
		return attribute.NewProblem("api_key", "Empty API key", "The value of api_key is an empty string. Check that the variable or file that it comes from is not empty.")
	case strings.ContainsFunc(key, func(r rune) bool { return r < 0x21 || r > 0x7e }):
		return attribute.NewProblem("api_key", "Invalid API key", "The value of api_key has a space, a line break or another character that an HTTP header cannot contain. If it comes from a file, use trimspace(file(…)).")
	}
	return nil
}

// checkEndpoint also removes trailing slashes. It refuses an endpoint to which the key
// would be sent unencrypted.
func (s *Settings) checkEndpoint(shown string) *attribute.Problem {
	text := s.Endpoint
	s.Endpoint = strings.TrimRight(text, "/")
	wrong := func(why string) *attribute.Problem {
		return attribute.NewProblem("endpoint", "Invalid URL", "The endpoint %s %s. Write it like https://syndication.knockrentals.com.", shown, why)
	}
	u, err := url.Parse(text)
	switch {
	case err == nil && u.User != nil || strings.Contains(text, "@"):
		shown = "(hidden)" // the text before the @ is often a password
		return wrong("contains a user or a password: set the key in api_key instead")
	case err != nil:
		return wrong("is not a URL")
	case u.Scheme == "":
		return wrong("is not absolute: https:// is missing")
	case u.Scheme != "https" && u.Scheme != "http":
		return wrong("is neither https nor http")
	case u.Hostname() == "":
		return wrong("has no host")
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(text, "#"):
		return wrong("has a query or a fragment, which is not supported")
	case u.Scheme == "http" && !extract.IsLoopback(u.Hostname()) && s.APIKey != "":
		return attribute.NewProblem("endpoint", "API key over plain HTTP",
			"The endpoint %s is neither https nor on this machine, so the API key would be sent unencrypted. Use https.", shown)
	}
	return nil
}

// Source is the API.
type Source struct {
	*extract.Client
	binding string
}

// Open returns a source that sends its requests to the endpoint.
func Open(s *Settings, r extract.Requests) (*Source, error) {
	client, err := extract.New(extract.Options{
		Endpoint: s.Endpoint, APIKey: s.APIKey.Reveal(),
		PageSize: r.PageSize, Timeout: r.Timeout, MaxAttempts: r.MaxAttempts,
		Limiter: extract.NewLimiter(r.RequestsPerSecond), UserAgent: r.UserAgent, Logger: r.Logger,
	})
	if err != nil {
		return nil, attribute.NewProblem("endpoint", "Invalid source", "%s.", err)
	}
	return &Source{client, fmt.Sprintf("%q %d %q\n", s.Endpoint, r.PageSize, s.APIKey.Reveal())}, nil
}

// Binding implements extract.Source. It includes the API key, because the key determines
// what the API returns.
func (s *Source) Binding() string { return s.binding }

// Close closes the idle connections.
func (s *Source) Close() error {
	s.Client.Close()
	return nil
}
