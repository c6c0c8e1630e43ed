package main

import (
	"context"
	"fmt"
)

// task is the work of one process. The method that Do names documents the fields that
// it uses.
type task struct {
	Do          string `json:"do"`
	World       world  `json:"world"`
	Pages       string `json:"pages,omitempty"`   // the file
	Journal     string `json:"journal,omitempty"` // the directory
	Output      string `json:"output,omitempty"`  // the directory
	Compression string `json:"compression,omitempty"`
	Changed     []part `json:"changed,omitempty"`
	// Cores limits the process; 0 is no limit.
	Cores int `json:"cores,omitempty"`
}

func (t task) do(ctx context.Context) (any, error) {
	switch t.Do {
	case "pages":
		return struct{}{}, t.World.writePages(t.Pages)
	case "apply":
		return t.apply()
	case "replay":
		return t.replay()
	case "night":
		return t.night(ctx)
	case "naive":
		return t.naive(ctx)
	case "fingerprint":
		return t.fingerprint(ctx)
	}
	return nil, fmt.Errorf("there is no task %q", t.Do)
}
