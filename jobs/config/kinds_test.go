package config

import (
	"prospector/extract"
	"prospector/extract/knock"
	"prospector/extract/simulator"
	"prospector/jobs"
)

// sourceKinds are the kinds of sources that the tests configure.
var sourceKinds = extract.Kinds{knock.Kind, simulator.Kind}

// loadDir loads a directory in which those kinds are known.
func loadDir(dir string, o Options) (*jobs.Configuration, jobs.Diagnostics) {
	o.Sources = sourceKinds
	return Load(dir, o)
}
