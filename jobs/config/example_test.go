package config_test

import (
	"fmt"
	"os"
	"path/filepath"

	"prospector/extract"
	"prospector/extract/simulator"
	"prospector/jobs/config"
	"prospector/sink/store"
	"prospector/sink/store/local"
)

// Load a configuration. A mistake becomes a diagnostic with its place.
func ExampleLoad() {
	dir, err := os.MkdirTemp("", "config")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	load := func(text string) {
		if err := os.WriteFile(filepath.Join(dir, "main.hcl"), []byte(text), 0o600); err != nil {
			panic(err)
		}
		c, diags := config.Load(dir, config.Options{
			Sources: extract.Kinds{simulator.Kind},
			Stores:  store.Kinds{local.Kind},
		})
		for _, d := range diags {
			fmt.Printf("line %d: %s: %s\n", d.Origin.Line, d.Summary, d.Detail)
		}
		if !diags.HasErrors() {
			for _, j := range c.Jobs {
				fmt.Println(j.Address, "exports to", j.Sinks[0].Address)
			}
		}
	}

	const config = `source "simulator" "demo" {}
sink "local" "lake" { path = "lake" }
job "prospect_events" {
  source = source.simulator.demo
  sinks  = [sink.local.%s]
}
`
	load(fmt.Sprintf(config, "lake"))
	load(fmt.Sprintf(config, "lak"))
	// Output:
	// job.prospect_events exports to sink.local.lake
	// line 5: Unknown reference: sink.local.lak is not declared. Did you mean "sink.local.lake"?
}
