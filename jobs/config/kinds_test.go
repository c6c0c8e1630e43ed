package config

import (
	"prospector/extract"
	"prospector/extract/knock"
	"prospector/extract/simulator"
	"prospector/jobs"
	"prospector/sink/store"
	"prospector/sink/store/gcs"
	"prospector/sink/store/local"
)

// sourceKinds are the kinds of sources that the tests configure.
var sourceKinds = extract.Kinds{knock.Kind, simulator.Kind}

// storeKinds are the kinds of store that the tests configure.
var storeKinds = store.Kinds{local.Kind, gcs.Kind}

// loadDir loads a directory with these kinds.
func loadDir(dir string, o Options) (*jobs.Configuration, jobs.Diagnostics) {
	o.Sources, o.Stores = sourceKinds, storeKinds
	return Load(dir, o)
}
