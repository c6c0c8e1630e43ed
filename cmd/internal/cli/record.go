package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"prospector/internal/attribute"
	"prospector/internal/nolink"
	"prospector/jobs"
	"prospector/jobs/run"
	"prospector/sink/store"
)

// recordName is the file in the data directory that records the backend of the last init
// or run.
const recordName = "backend.json"

// backendRecord is the format of that file. It has no secrets. Paths in the directory of
// the configuration are relative to it, so that the directory can be moved.
type backendRecord struct {
	Version  int                        `json:"version"` // 1
	Type     string                     `json:"type"`    // the kind of store
	Key      string                     `json:"key"`
	Settings map[string]json.RawMessage `json:"settings"`
}

// record records the backend, unless it is recorded already.
func (b backends) record(used jobs.Backend) (err error) {
	r := backendRecord{Version: 1, Type: used.Kind.Name, Key: used.Key, Settings: make(map[string]json.RawMessage)}
	for _, a := range used.Settings.Attributes() {
		value := a.Value
		switch v := value.(type) {
		case *attribute.Secret:
			continue
		case *attribute.Path:
			if rel, err := filepath.Rel(b.dir, string(*v)); err == nil && filepath.IsLocal(rel) {
				value = filepath.ToSlash(rel)
			}
		}
		if r.Settings[a.Name], err = json.Marshal(value); err != nil {
			return err
		}
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	data, err := run.MakeDataDir(b.dataRoot, b.dataDir)
	if err != nil {
		return err
	}
	defer data.Close()
	before, err := readFileIn(data, recordName)
	if isLink(err) || err == nil && string(before) == string(text) {
		return err
	}
	const temporary = recordName + ".new"
	if err = data.WriteFile(temporary, text); err == nil {
		err = data.Rename(temporary, data, recordName)
	}
	if err != nil {
		return fmt.Errorf("recording the backend in the data directory: %w; if %s is not a file that prospector has written, remove it",
			err, filepath.Join(b.dataDir, recordName))
	}
	return nil
}

// isLink reports whether an error is about a symbolic link, which no command follows or
// ignores.
func isLink(err error) bool {
	_, ok := errors.AsType[*nolink.LinkError](err)
	return ok
}

// recorded returns the recorded backend, or nil if there is no usable record. It has the
// secrets of the configured backend if both are of the same kind.
func (b backends) recorded(configured jobs.Backend) (*jobs.Backend, error) {
	r, err := b.readRecord()
	if r == nil {
		return nil, err
	}
	kind := b.kinds.Find(r.Type)
	if kind == nil {
		return nil, nil
	}
	used := jobs.Backend{Location: store.Location{Kind: kind, Settings: kind.New()}, Key: r.Key}
	used.Address = "backend." + kind.Name
	secrets := make(map[string]attribute.Secret)
	if configured.Kind == kind {
		for _, a := range configured.Settings.Attributes() {
			if secret, ok := a.Value.(*attribute.Secret); ok {
				secrets[a.Name] = *secret
			}
		}
	}
	for _, a := range used.Settings.Attributes() {
		if secret, ok := a.Value.(*attribute.Secret); ok {
			*secret = secrets[a.Name]
			continue
		}
		if raw, ok := r.Settings[a.Name]; ok && json.Unmarshal(raw, a.Value) != nil {
			return nil, nil
		}
		if path, ok := a.Value.(*attribute.Path); ok && !filepath.IsAbs(string(*path)) {
			*path = attribute.Path(filepath.Join(b.dir, string(*path)))
		}
	}
	return &used, nil
}

// readRecord returns the record, or nil if there is none that this program can read. A
// symbolic link is an error.
func (b backends) readRecord() (*backendRecord, error) {
	data, err := nolink.Open(b.dataDir)
	if err != nil {
		return nil, nil // there is no data directory yet
	}
	defer data.Close()
	text, err := readFileIn(data, recordName)
	if isLink(err) {
		return nil, err
	}
	var r backendRecord
	if err != nil || json.Unmarshal(text, &r) != nil || r.Version != 1 {
		return nil, nil
	}
	return &r, nil
}

// maxRecord is the most bytes of a record that is read.
const maxRecord = 1 << 20

func readFileIn(dir *nolink.Dir, name string) ([]byte, error) {
	f, err := dir.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return store.ReadAll(f, maxRecord)
}
