package gcs

import (
	"net/http"
	"testing"

	"prospector/internal/attribute"
)

func TestBaseURL(t *testing.T) {
	const key = attribute.Secret(`{"type": "authorized_user", "client_id": "a", "client_secret": "b", "refresh_token": "c"}`)
	for _, test := range []struct{ emulator, universe, endpoint, want string }{
		{"", "", "", "https://storage.googleapis.com/storage/v1/"},
		{"", "example.com", "", "https://storage.example.com/storage/v1/"},
		{"", "", "https://storage-acme.p.googleapis.com", "https://storage-acme.p.googleapis.com/storage/v1/"},
		{"127.0.0.1:4443", "", "https://storage-acme.p.googleapis.com", "http://127.0.0.1:4443/storage/v1/"},
		{"http://127.0.0.1:4443/storage/v1/", "", "", "http://127.0.0.1:4443/storage/v1/"},
	} {
		t.Setenv(emulator, test.emulator)
		t.Setenv("GOOGLE_CLOUD_UNIVERSE_DOMAIN", test.universe)
		_, base, err := Options{Endpoint: test.endpoint, Credentials: key}.connect()
		if err != nil || base.String() != test.want {
			t.Errorf("%+v: %v, %v", test, base, err)
		}
	}
}

// Each of the parallel requests has a connection that it can use again.
func TestIdleConnections(t *testing.T) {
	t.Setenv(emulator, "127.0.0.1:4443")
	for _, parallelism := range []int{0, 16, 256} {
		client, _, err := Options{Parallelism: parallelism}.connect()
		if err != nil {
			t.Fatal(err)
		}
		network := client.Transport.(*bounded).next.(*http.Transport)
		if n := network.MaxIdleConnsPerHost; n < parallelism || network.MaxIdleConns != 0 {
			t.Errorf("with parallelism %d, %d connections stay open per host, %d in total", parallelism, n, network.MaxIdleConns)
		}
	}
}
