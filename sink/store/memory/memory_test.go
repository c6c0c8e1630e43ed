package memory_test

import (
	"testing"

	"prospector/sink/store"
	"prospector/sink/store/memory"
	"prospector/sink/store/storetest"
)

func TestConformance(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store { return memory.New() },
		storetest.Advisor, storetest.CaseFolder, storetest.Concurrent, storetest.Dated, storetest.Files, storetest.Sweeper)
}
