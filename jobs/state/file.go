package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// Version is the version of the file format that this program writes. It reads
// every version up to it.
const Version = 1

// ErrNewer says that a newer prospector has written the state.
var ErrNewer = errors.New("the state was written by a newer version of prospector")

// fileV1 is the file. Its field order is the order in the file.
type fileV1 struct {
	Version int             `json:"version"`
	Serial  int64           `json:"serial"`
	Lineage string          `json:"lineage"`
	Jobs    map[string]*Job `json:"jobs"`
}

// Encode writes the file: indented JSON, the same bytes for the same state.
func Encode(s *State) ([]byte, error) {
	b, err := json.MarshalIndent(fileV1{Version, s.Serial, s.Lineage, s.Jobs}, "", "  ")
	return append(b, '\n'), err
}

// Decode reads a file of any known version.
func Decode(b []byte) (*State, error) {
	var sniff struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(b, &sniff); err != nil {
		return nil, fmt.Errorf("the state is not JSON: %w", err)
	}
	switch {
	case sniff.Version > Version:
		return nil, fmt.Errorf("%w: it has format %d, this one knows up to %d; use that version", ErrNewer, sniff.Version, Version)
	case sniff.Version != 1:
		return nil, fmt.Errorf("the state has format %d, which no version of prospector has written", sniff.Version)
	}
	var f fileV1
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return nil, fmt.Errorf("the state does not have format 1: %w", err)
	}
	if f.Lineage == "" || f.Serial < 1 {
		return nil, errors.New("the state has no lineage or serial: it is damaged")
	}
	s := &State{Serial: f.Serial, Lineage: f.Lineage, Jobs: make(map[string]*Job)}
	for address, j := range f.Jobs {
		job := s.Job(address)
		if j == nil {
			continue
		}
		job.Schema = j.Schema
		for address, from := range j.Sinks {
			sink := job.Sink(address)
			if from == nil {
				continue
			}
			partitions := sink.Partitions
			*sink = *from
			if sink.Partitions == nil {
				sink.Partitions = partitions
			}
		}
	}
	return s, nil
}
