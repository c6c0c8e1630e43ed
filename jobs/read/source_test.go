package read

import (
	"testing"
	"time"

	"prospector/extract"
	"prospector/extract/knock"
	"prospector/extract/simulator"
)

// A journal is only resumed with its own binding, so the binding must be the same in
// every version.
func TestBindingIsStable(t *testing.T) {
	requests := extract.Requests{PageSize: 50}
	api, err := knock.Open(&knock.Settings{Endpoint: "https://example.com/api", APIKey: "hunter2"}, requests)
	if err != nil {
		t.Fatal(err)
	}
	sim, err := simulator.Open(t.Context(), &simulator.Settings{
		Seed: 1 << 63, Prospects: 7, Events: 70, FaultRate: 0.5, VendorChanges: true,
		AsOf: time.Date(2022, 1, 10, 1, 0, 0, 5000, time.FixedZone("", 3600)),
	}, requests)
	if err != nil {
		t.Fatal(err)
	}
	defer sim.Close()
	for _, c := range []struct {
		source extract.Source
		want   string
	}{
		{api, "dc450f9ce4c98e38201fc8058afb3763"},
		{sim, "d45f9ce6a8f29b14fd3a26727951dc97"},
	} {
		if got := Binding("job.events", c.source); got != c.want {
			t.Errorf("the binding of a %T is %s, want %s", c.source, got, c.want)
		}
	}
}
