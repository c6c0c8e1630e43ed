package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsouza/fake-gcs-server/fakestorage"

	"prospector/sink/store"
	"prospector/sink/store/gcs/gcsfault"
)

// lab is where a trial runs: a source, an emulator with faults, and two directories of
// prospector. One keeps its lake and its state in the emulator. The other keeps both in
// local files, and shows what is right.
type lab struct {
	*emulator
	world        *world
	source       *httptest.Server
	cloud, local *house
}

// labOptions describe a lab.
type labOptions struct {
	world    *world
	shape    shape
	faithful gcsfault.Faithful
	faults   gcsfault.Options
	timeout  time.Duration // of the sink and the backend
}

func newLab(ctx context.Context, dir string, o *labOptions) (*lab, error) {
	e, err := startEmulator(ctx, "127.0.0.1:0", &o.faithful, o.faults)
	if err != nil {
		return nil, err
	}
	l := &lab{emulator: e, world: o.world, source: httptest.NewServer(o.world)}
	at := func(prefix string) string {
		return fmt.Sprintf("bucket = %q\n  prefix = %q\n  endpoint = %q\n  timeout = %q\n", bucket, prefix, e.url, o.timeout)
	}
	l.cloud = &house{dir: filepath.Join(dir, "cloud"), backend: fmt.Sprintf("backend \"gcs\" {\n  %s}", at(statePrefix)), kind: "gcs", sink: at(lakePrefix)}
	l.local = &house{dir: filepath.Join(dir, "local"), kind: "local", sink: fmt.Sprintf("path = %q", lakePrefix)}
	for _, h := range []*house{l.cloud, l.local} {
		if err := h.configure(l.source.URL, o.world, o.shape); err != nil {
			l.close()
			return nil, err
		}
	}
	return l, nil
}

func (l *lab) close() {
	l.emulator.close()
	l.source.Close()
}

// run runs a command that must succeed.
func (l *lab) run(h *house, args ...string) error {
	if code, printed := h.run(args...); code != 0 {
		return fmt.Errorf("prospector %s exited with code %d:\n%s", strings.Join(args, " "), code, indent(printed))
	}
	return nil
}

// reference applies in the local directory.
func (l *lab) reference() error { return l.run(l.local, "apply", "-auto-approve") }

// applyBoth applies in both directories, and compares the lakes.
func (l *lab) applyBoth() error {
	if err := l.reference(); err != nil {
		return err
	}
	if err := l.run(l.cloud, "apply", "-auto-approve"); err != nil {
		return err
	}
	return l.compare()
}

// compare returns an error unless both lakes have the same files with the same content,
// and unless both states describe them.
func (l *lab) compare() error {
	stateText, err := os.ReadFile(filepath.Join(l.local.dir, "prospector.state.json"))
	if err != nil {
		return err
	}
	want, err := filesOf(stateText)
	if err != nil {
		return err
	}
	state, err := l.storage.GetObject(bucket, statePrefix+"/prospector.state.json")
	if err != nil {
		return fmt.Errorf("the bucket has no state: %w", err)
	}
	got, err := filesOf(state.Content)
	if err != nil {
		return err
	}
	objects, err := l.objects()
	if err != nil {
		return err
	}
	var problems []error
	for key, f := range want {
		if got[key].Content != f.Content {
			problems = append(problems, fmt.Errorf("the state in the bucket has content %q of %s, want %q", got[key].Content, key, f.Content))
		}
		if _, err := os.Stat(filepath.Join(l.local.dir, lakePrefix, key)); err != nil {
			problems = append(problems, err)
		}
	}
	if len(got) != len(want) {
		problems = append(problems, fmt.Errorf("the state in the bucket has %d files, want %d", len(got), len(want)))
	}
	for i := range objects {
		problems = append(problems, l.compareObject(objects[i].Name, got))
	}
	if len(objects) != len(want) {
		problems = append(problems, fmt.Errorf("the lake in the bucket has %d files, want %d", len(objects), len(want)))
	}
	return errors.Join(problems...)
}

// objects lists the files of the lake in the bucket.
func (l *lab) objects() ([]fakestorage.ObjectAttrs, error) {
	page, err := l.storage.ListObjectsWithOptionsPaginated(bucket, fakestorage.ListOptions{Prefix: lakeObjects})
	return page.Objects, err
}

// compareObject compares an object with its file in the state, by its bytes.
func (l *lab) compareObject(name string, files map[string]file) error {
	f, ok := files[strings.TrimPrefix(name, lakePrefix+"/")]
	if !ok {
		return fmt.Errorf("the object %s is not in the state", name)
	}
	o, err := l.storage.GetObject(bucket, name)
	if err != nil {
		return err
	}
	if int64(len(o.Content)) != f.Size || store.Checksum(o.Content) != f.CRC32C {
		return fmt.Errorf("the object %s has %d bytes with CRC32C %08x, but the state has %d with %08x",
			name, len(o.Content), store.Checksum(o.Content), f.Size, f.CRC32C)
	}
	return nil
}

// tidy returns an error if the bucket has a lock, or an object that is neither a file of
// the lake nor part of the state.
func (l *lab) tidy() error {
	page, err := l.storage.ListObjectsWithOptionsPaginated(bucket, fakestorage.ListOptions{})
	for i := range page.Objects {
		name := page.Objects[i].Name
		known := strings.HasPrefix(name, lakeObjects) || strings.HasPrefix(name, stateObject)
		if !known || name == lockObject {
			err = errors.Join(err, fmt.Errorf("the bucket still has %s", name))
		}
	}
	return err
}

// empty returns an error if a lake has files.
func (l *lab) empty() error {
	objects, err := l.objects()
	if err == nil && len(objects) > 0 {
		err = fmt.Errorf("after a destroy the bucket has %d files, such as %s", len(objects), objects[0].Name)
	}
	return errors.Join(err, filepath.WalkDir(filepath.Join(l.local.dir, lakePrefix, table), func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			err = fmt.Errorf("after a destroy there is %s", path)
		}
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return err
	}))
}

func indent(text string) string {
	return "    " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n    ")
}
