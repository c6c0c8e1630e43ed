package extract

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/time/rate"
)

func TestNew(t *testing.T) {
	for _, c := range []struct {
		name string
		o    Options
		err  string // part of the error; "" if there is none
	}{
		{"https", Options{Endpoint: "https://knock.example", APIKey: "k"}, ""},
		{"https with a path", Options{Endpoint: "HTTPS://knock.example/v1/", APIKey: "k"}, ""},
		{"loopback by name", Options{Endpoint: "http://localhost:8080", APIKey: "k"}, ""},
		{"loopback by address", Options{Endpoint: "http://127.1.2.3", APIKey: "k"}, ""},
		{"loopback by IPv6 address", Options{Endpoint: "http://[::1]:80", APIKey: "k"}, ""},
		{"plain http without a key", Options{Endpoint: "http://knock.example"}, ""},

		{"plain http with a key", Options{Endpoint: "http://knock.example", APIKey: "secret"}, "use https"},
		{"almost loopback", Options{Endpoint: "http://localhost.knock.example", APIKey: "secret"}, "use https"},
		{"private network", Options{Endpoint: "http://10.0.0.1", APIKey: "secret"}, "use https"},
		{"no endpoint", Options{}, "absolute"},
		{"no scheme", Options{Endpoint: "knock.example"}, "absolute"},
		{"no host", Options{Endpoint: "https:///v1"}, "absolute"},
		{"other scheme", Options{Endpoint: "ftp://knock.example"}, "absolute"},
		{"no URL", Options{Endpoint: "https://user:secret@knock example\x7f"}, "not a URL"},
		{"password", Options{Endpoint: "https://user:secret@knock.example"}, "user"},
		{"query", Options{Endpoint: "https://knock.example?key=secret"}, "query"},
		{"fragment", Options{Endpoint: "https://knock.example#secret"}, "fragment"},
		{"line feed in the key", Options{Endpoint: "https://knock.example", APIKey: "secret\n"}, "line feed"},
		{"negative", Options{Endpoint: "https://knock.example", MaxAttempts: -1}, "negative"},
		{"limiter without burst", Options{Endpoint: "https://knock.example", Limiter: rate.NewLimiter(5, 0)}, "never"},
		{"limiter without rate", Options{Endpoint: "https://knock.example", Limiter: rate.NewLimiter(0, 1)}, "never"},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, err := New(c.o)
			switch {
			case c.err == "" && (err != nil || client == nil):
				t.Fatal(err)
			case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
				t.Fatalf("error %v, want one with %q", err, c.err)
			case err != nil && strings.Contains(err.Error(), "secret"):
				t.Errorf("the error contains a secret: %v", err)
			case err == nil && (client.options.PageSize != 100 || client.options.Timeout != 30*time.Second || client.options.Grace != 5*time.Second || client.options.MaxAttempts != 6 || client.options.MaxPageBytes != 64<<20):
				t.Errorf("defaults: %+v", client.options)
			}
		})
	}
}

func TestNewLimiter(t *testing.T) {
	if NewLimiter(0) != nil {
		t.Error("NewLimiter(0) returns a limit")
	}
	for perSecond, burst := range map[float64]int{0.1: 1, 10: 1, 50: 1, 100: 1, 1000: 10} {
		if l := NewLimiter(perSecond); float64(l.Limit()) != perSecond || l.Burst() != burst {
			t.Errorf("%v a second: rate %v, burst %d", perSecond, l.Limit(), l.Burst())
		}
	}
}
