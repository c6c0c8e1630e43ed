package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"prospector/internal/sealed"
	"prospector/jobs/tombstone"
	"prospector/schemas"
)

// Version is the version of the file format that this program writes. The program
// reads this version and all earlier ones. The next version is 7: see movedVersion.
const Version = 5

// MaxSize is the maximum size in bytes of a state that is read. A partition
// takes about 500 bytes for each sink.
const MaxSize = 512 << 20

// maxLockInfo is the maximum size in bytes of a lock that is read.
const maxLockInfo = 64 << 10

var (
	// ErrNewer reports that a newer version of prospector wrote the state.
	ErrNewer = errors.New("the state was written by a newer version of prospector")
	// ErrDamaged reports that a state has changed since prospector wrote it,
	// because it was edited by hand or damaged by its storage.
	ErrDamaged = errors.New("the state has changed since prospector wrote it")
)

// Each version of the format has a type, and each older type has an upgrade to
// the next version. A version has its own types for the parts that differ in
// the next version, and shares the other types. Before you change a shared
// type, copy it for the versions that use its current form. Fields are in the
// order of the file.

// fileV5 is the current format. Job, Sink and their parts are the values of
// this package, except that a partition has a schema only if it differs from
// the job's. Package sealed defines the checksum.
type fileV5 struct {
	Version    int             `json:"version"`
	Serial     int64           `json:"serial"`
	Lineage    string          `json:"lineage"`
	Checksum   string          `json:"checksum"`
	Erasing    bool            `json:"erasing,omitempty"`
	Tombstones tombstone.Set   `json:"tombstones,omitempty"`
	Jobs       map[string]*Job `json:"jobs"`
}

// fileV4 has no checksum and no tombstones.
type fileV4 struct {
	Version int             `json:"version"`
	Serial  int64           `json:"serial"`
	Lineage string          `json:"lineage"`
	Erasing bool            `json:"erasing,omitempty"`
	Jobs    map[string]*Job `json:"jobs"`
}

func (f fileV4) upgrade() fileV5 {
	return fileV5{Version: 5, Serial: f.Serial, Lineage: f.Lineage, Erasing: f.Erasing, Jobs: f.Jobs}
}

// fileV3 has one file in each partition.
type fileV3 struct {
	Version int               `json:"version"`
	Serial  int64             `json:"serial"`
	Lineage string            `json:"lineage"`
	Erasing bool              `json:"erasing,omitempty"`
	Jobs    map[string]*jobV3 `json:"jobs"`
}

type jobV3 struct {
	Table          string                   `json:"table"`
	Schema         string                   `json:"schema"`
	Schemas        map[string]schemas.Table `json:"schemas,omitempty"`
	Survey         *schemas.Survey          `json:"survey,omitempty"`
	Prospects      *ProspectList            `json:"prospects,omitempty"`
	PreventDestroy bool                     `json:"prevent_destroy,omitempty"`
	Sinks          map[string]*sinkV3       `json:"sinks"`
}

type sinkV3 struct {
	URI        string                 `json:"uri"`
	Partitions map[string]partitionV3 `json:"partitions"`
	Quarantine *Quarantine            `json:"quarantine,omitempty"`
	Pending    *pendingV3             `json:"pending,omitempty"`
	Obsolete   map[string]Object      `json:"obsolete,omitempty"`
}

type pendingV3 struct {
	Partitions map[string]partitionV3 `json:"partitions,omitempty"`
	Quarantine *Quarantine            `json:"quarantine,omitempty"`
}

type partitionV3 struct {
	Schema  string         `json:"schema,omitempty"`
	Rows    int64          `json:"rows"`
	Content schemas.Digest `json:"content"`
	Object  Object         `json:"object"`
	Days    *Days          `json:"days,omitempty"`
}

func (f fileV3) upgrade() fileV4 {
	out := fileV4{Version: 4, Serial: f.Serial, Lineage: f.Lineage, Erasing: f.Erasing, Jobs: make(map[string]*Job, len(f.Jobs))}
	for address, j := range f.Jobs {
		if j == nil {
			j = &jobV3{}
		}
		job := &Job{
			TableName: j.Table, SchemaFingerprint: j.Schema, Schemas: j.Schemas, Survey: j.Survey, Prospects: j.Prospects,
			PreventDestroy: j.PreventDestroy, Sinks: make(map[string]*Sink, len(j.Sinks)),
		}
		for address, s := range j.Sinks {
			if s == nil {
				s = &sinkV3{}
			}
			sink := &Sink{URI: s.URI, Partitions: upgradeV3(s.Partitions), Quarantine: s.Quarantine, Obsolete: s.Obsolete}
			if s.Pending != nil {
				sink.Pending = &Pending{upgradeV3(s.Pending.Partitions), s.Pending.Quarantine}
			}
			job.Sinks[address] = sink
		}
		out.Jobs[address] = job
	}
	return out
}

func upgradeV3(partitions map[string]partitionV3) map[string]Partition {
	out := make(map[string]Partition, len(partitions))
	for path, p := range partitions {
		out[path] = Partition{SchemaFingerprint: p.Schema, Rows: p.Rows, Content: p.Content, Files: []File{{p.Rows, p.Content, p.Object}}, Days: p.Days}
	}
	return out
}

// fileV2 has only built-in schemas. All files of a job have the same schema.
type fileV2 struct {
	Version int               `json:"version"`
	Serial  int64             `json:"serial"`
	Lineage string            `json:"lineage"`
	Jobs    map[string]*jobV2 `json:"jobs"`
}

type jobV2 struct {
	Table          string             `json:"table"`
	Schema         string             `json:"schema"`
	Prospects      *ProspectList      `json:"prospects,omitempty"`
	PreventDestroy bool               `json:"prevent_destroy,omitempty"`
	Sinks          map[string]*sinkV3 `json:"sinks"`
}

func (f fileV2) upgrade() fileV3 {
	out := fileV3{Version: 3, Serial: f.Serial, Lineage: f.Lineage, Jobs: make(map[string]*jobV3, len(f.Jobs))}
	for address, j := range f.Jobs {
		if j == nil {
			j = &jobV2{}
		}
		job := &jobV3{Table: j.Table, Schema: j.Schema, Prospects: j.Prospects, PreventDestroy: j.PreventDestroy, Sinks: j.Sinks}
		if t, ok := schemas.BuiltinOf(j.Schema); ok {
			job.Schemas = map[string]schemas.Table{j.Schema: t}
		}
		out.Jobs[address] = job
	}
	return out
}

// fileV1 has no table names and no lists of prospects. A table has the name of
// its job.
type fileV1 struct {
	Version int               `json:"version"`
	Serial  int64             `json:"serial"`
	Lineage string            `json:"lineage"`
	Jobs    map[string]*jobV1 `json:"jobs"`
}

type jobV1 struct {
	Schema string             `json:"schema"`
	Sinks  map[string]*sinkV3 `json:"sinks"`
}

func (f fileV1) upgrade() fileV2 {
	out := fileV2{Version: 2, Serial: f.Serial, Lineage: f.Lineage, Jobs: make(map[string]*jobV2, len(f.Jobs))}
	for address, j := range f.Jobs {
		job := &jobV2{Table: strings.TrimPrefix(address, "job.")}
		if j != nil {
			job.Schema, job.Sinks = j.Schema, j.Sinks
		}
		out.Jobs[address] = job
	}
	return out
}

// Encode returns the file of a state: indented JSON. Equal states have equal files.
func Encode(s *State) ([]byte, error) {
	short := s.Clone()
	for _, j := range short.Jobs {
		j.eachPartition(func(p *Partition) {
			if p.SchemaFingerprint == j.SchemaFingerprint {
				p.SchemaFingerprint = ""
			}
		})
	}
	return sealed.Marshal(fileV5{Version: Version, Serial: s.Serial, Lineage: s.Lineage, Erasing: s.Erasing, Tombstones: s.Tombstones, Jobs: short.Jobs})
}

// eachPartition calls change for every published and pending partition of the
// job.
func (j *Job) eachPartition(change func(*Partition)) {
	of := func(partitions map[string]Partition) {
		for path, p := range partitions {
			change(&p)
			partitions[path] = p
		}
	}
	for _, sink := range j.Sinks {
		of(sink.Partitions)
		if sink.Pending != nil {
			of(sink.Pending.Partitions)
		}
	}
}

// Decode parses a file of any supported version. It returns ErrDamaged if the checksum
// does not match. The state has no nil maps, jobs or sinks.
func Decode(b []byte) (*State, error) {
	s, intact, err := DecodeEdited(b)
	if err == nil && intact != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, intact)
	}
	return s, err
}

// DecodeEdited is like Decode, but accepts a file that was edited by hand. The
// error intact is nil if the checksum matches or the format has none. Otherwise
// it describes the problem with the checksum.
func DecodeEdited(b []byte) (s *State, intact, err error) {
	var sniff fileMoved
	if err := json.Unmarshal(b, &sniff); err != nil {
		return nil, nil, fmt.Errorf("the state is not JSON: %w", err)
	}
	if sniff.Version == movedVersion && sniff.Moved != nil {
		return nil, nil, &MovedError{Moved: *sniff.Moved}
	}
	f, err := decodeVersion(sniff.Version, b)
	if err != nil {
		return nil, nil, err
	}
	if f.Lineage == "" || f.Serial < 1 {
		return nil, nil, errors.New("the state has no lineage or serial: it is damaged")
	}
	if err := f.Tombstones.Check(); err != nil {
		return nil, nil, fmt.Errorf("the state does not have format %d: %w", sniff.Version, err)
	}
	if sniff.Version >= 5 {
		intact = sealed.Verify(b)
	}
	return f.state(), intact, nil
}

func decodeVersion(version int, b []byte) (f fileV5, err error) {
	switch {
	case version > Version:
		return f, fmt.Errorf("%w: it has format %d, and this version reads up to %d; use the newer version", ErrNewer, version, Version)
	case version == 5:
		err = strictly(b, &f)
	case version == 4:
		var old fileV4
		err = strictly(b, &old)
		f = old.upgrade()
	case version == 3:
		var old fileV3
		err = strictly(b, &old)
		f = old.upgrade().upgrade()
	case version == 2:
		var old fileV2
		err = strictly(b, &old)
		f = old.upgrade().upgrade().upgrade()
	case version == 1:
		var old fileV1
		err = strictly(b, &old)
		f = old.upgrade().upgrade().upgrade().upgrade()
	default:
		return f, fmt.Errorf("the state has format %d, which no version of prospector writes", version)
	}
	if err != nil {
		return f, fmt.Errorf("the state does not have format %d: %w", version, err)
	}
	return f, nil
}

// strictly decodes a file. It refuses unknown fields, because the next write
// would drop them.
func strictly(b []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

// state returns the value of the file. A null map or struct becomes an empty
// one.
func (f fileV5) state() *State {
	s := &State{Serial: f.Serial, Lineage: f.Lineage, Erasing: f.Erasing, Tombstones: tombstone.Set(nil).Merge(f.Tombstones), Jobs: make(map[string]*Job, len(f.Jobs))}
	for address, from := range f.Jobs {
		job := s.Job(address)
		if from == nil {
			continue
		}
		sinks := job.Sinks
		*job = *from
		job.Sinks = sinks
		for address, from := range from.Sinks {
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
		job.eachPartition(func(p *Partition) {
			if p.SchemaFingerprint == "" {
				p.SchemaFingerprint = job.SchemaFingerprint
			}
		})
	}
	return s
}
