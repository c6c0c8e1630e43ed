package cli

import (
	"encoding/json"
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
	if before, err := readFileIn(data, recordName); err == nil && string(before) == string(text) {
		return nil
	}
	const temporary = recordName + ".new"
	if err = data.WriteFile(temporary, text); err == nil {
		err = data.Rename(temporary, data, recordName)
	}
	if err != nil {
		return fmt.Errorf("recording the backend in the data directory: %w", err)
	}
	return nil
}

// recorded returns the recorded backend, or nil if there is no usable record. It has the
// secrets of the configured backend if both are of the same kind.
func (b backends) recorded(configured jobs.Backend) *jobs.Backend {
	data, err := nolink.Open(b.dataDir)
	if err != nil {
		return nil
	}
	defer data.Close()
	text, err := readFileIn(data, recordName)
	var r backendRecord
	if err != nil || json.Unmarshal(text, &r) != nil || r.Version != 1 {
		return nil
	}
	kind := b.kinds.Find(r.Type)
	if kind == nil {
		return nil
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
			return nil
		}
		if path, ok := a.Value.(*attribute.Path); ok && !filepath.IsAbs(string(*path)) {
			*path = attribute.Path(filepath.Join(b.dir, string(*path)))
		}
	}
	return &used
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
