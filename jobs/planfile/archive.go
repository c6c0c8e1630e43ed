// Package planfile saves plans to files, and loads them again.
//
// A saved plan is self-contained and is applied once. Loading it to apply refuses it
// when anything that it was made from has changed, when it would change what its
// jobs do not own, and when a staged file is not what was planned. Applying a plan
// is left to others.
package planfile

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"prospector/jobs"
	"prospector/jobs/plan"
)

// ErrNotPlan reports that a file is not a saved plan, or is damaged.
var ErrNotPlan = errors.New("not a saved plan")

// A saved plan is a zip archive: the plan as JSON, and every staged file as it will
// be published. It holds events, so it is as secret as the lake.
const (
	planEntry   = "plan.json"
	stagedEntry = "staged/%05d"
	// maxPlan is the size in bytes of the largest plan that is read. A plan has
	// about 500 bytes for each partition and sink. maxRatio limits how many times
	// larger it is than its compressed form: ten times is usual.
	maxPlan  = 1 << 30
	maxRatio = 200
)

// staged returns the staged files of a plan, in the order of the plan.
func staged(p *plan.Plan) (files []*plan.Staged) {
	add := func(s *plan.Staged) {
		if s != nil {
			files = append(files, s)
		}
	}
	for i := range p.Jobs {
		j := &p.Jobs[i]
		for _, c := range j.Output.Changes {
			files = append(files, c.Staged...)
		}
		if j.Output.Quarantine != nil {
			add(j.Output.Quarantine.Staged)
		}
		if j.Source.Reading.List != nil {
			add(j.Source.Reading.List.Staged)
		}
		if j.Source.Waiting != nil {
			add(j.Source.Waiting.Staged)
		}
	}
	return files
}

// encode writes a plan with its staged files, which open opens by their paths. If it
// fails, what was written is not a plan.
func encode(w io.Writer, p *plan.Plan, open func(path string) (io.ReadCloser, error)) error {
	saved, err := clone(p)
	if err != nil {
		return err
	}
	archive := zip.NewWriter(w)
	for i, s := range staged(saved) {
		name := fmt.Sprintf(stagedEntry, i)
		if err := addStaged(archive, name, s, p.Created, open); err != nil {
			return err
		}
		s.Path = name
	}
	text, err := json.Marshal(newFileV2(saved))
	if err != nil {
		return err
	}
	entry, err := archive.CreateHeader(&zip.FileHeader{Name: planEntry, Method: zip.Deflate, Modified: p.Created})
	if err == nil {
		_, err = entry.Write(text)
	}
	return errors.Join(err, archive.Close())
}

func addStaged(archive *zip.Writer, name string, s *plan.Staged, modified time.Time, open func(string) (io.ReadCloser, error)) error {
	from, err := open(s.Path)
	if err != nil {
		return err
	}
	defer from.Close()
	// Stored: Parquet is compressed already.
	entry, err := archive.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store, Modified: modified})
	if err != nil {
		return err
	}
	if n, err := io.Copy(entry, from); err != nil || n != s.Size {
		return errors.Join(err, fmt.Errorf("the staged file %s has %d bytes, not %d", s.Path, n, s.Size))
	}
	return nil
}

// clone returns a deep copy.
func clone(p *plan.Plan) (*plan.Plan, error) {
	text, err := json.Marshal(newFileV2(p).Plan)
	if err != nil {
		return nil, err
	}
	out := new(planV2)
	if err := json.Unmarshal(text, out); err != nil {
		return nil, err
	}
	return out.plan(), nil
}

// file is an open saved plan.
type file struct {
	// plan names its staged files by their entries.
	plan    *plan.Plan
	entries map[string]*zip.File
}

// decode reads a saved plan, but not yet its staged files. It returns ErrNotPlan
// for any other file, and for a damaged one.
func decode(r io.ReaderAt, size int64) (*file, error) {
	archive, err := zip.NewReader(r, size)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotPlan, err)
	}
	text, err := readPlan(archive)
	if err != nil {
		return nil, err
	}
	p, err := decodePlan(text)
	if err != nil {
		return nil, err
	}
	out := &file{p, make(map[string]*zip.File)}
	for _, entry := range archive.File {
		out.entries[entry.Name] = entry
	}
	if err = checkReferences(p); err == nil {
		err = out.checkSizes(size)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotPlan, err)
	}
	return out, nil
}

// readPlan reads the JSON of the plan. It inflates at most what the archive
// declares, and only if a plan may have that size.
func readPlan(archive *zip.Reader) ([]byte, error) {
	i := slices.IndexFunc(archive.File, func(f *zip.File) bool { return f.Name == planEntry })
	if i < 0 {
		return nil, fmt.Errorf("%w: it has no %s", ErrNotPlan, planEntry)
	}
	file := archive.File[i]
	declared := file.UncompressedSize64
	if declared > maxPlan || declared/maxRatio > file.CompressedSize64 {
		return nil, fmt.Errorf("%w: its %s declares %d bytes, compressed to %d, which no plan has", ErrNotPlan, planEntry, declared, file.CompressedSize64)
	}
	entry, err := file.Open()
	if err != nil {
		return nil, fmt.Errorf("%w: its %s cannot be read: %w", ErrNotPlan, planEntry, err)
	}
	defer entry.Close()
	text, err := io.ReadAll(io.LimitReader(entry, int64(declared)+1))
	if err != nil || uint64(len(text)) != declared {
		return nil, errors.Join(fmt.Errorf("%w: its %s cannot be read", ErrNotPlan, planEntry), err)
	}
	return text, nil
}

// decodePlan decodes the JSON of a plan that this version of prospector saved.
func decodePlan(text []byte) (*plan.Plan, error) {
	var sniff struct {
		Version    int    `json:"version"`
		Prospector string `json:"prospector_version"`
	}
	if err := json.Unmarshal(text, &sniff); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotPlan, err)
	}
	if sniff.Version != FileVersion || sniff.Prospector != jobs.Version {
		return nil, fmt.Errorf("prospector %.20q saved the plan (format %d), and this is prospector %s (format %d): apply it with that version, or plan again",
			sniff.Prospector, sniff.Version, jobs.Version, FileVersion)
	}
	var f fileV2
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil || f.Plan == nil {
		return nil, errors.Join(fmt.Errorf("%w: its %s is damaged", ErrNotPlan, planEntry), err)
	}
	return f.Plan.plan(), nil
}

// checkSizes compares the staged files with what the plan says about them. They are
// not compressed, so together they are no larger than the archive.
func (f *file) checkSizes(archive int64) error {
	left := archive
	for _, s := range staged(f.plan) {
		entry := f.entries[s.Path]
		switch {
		case entry == nil:
			return fmt.Errorf("it has no %.40q", s.Path)
		case entry.Method != zip.Store:
			return fmt.Errorf("its %s is compressed", s.Path)
		case s.Size < 0 || entry.UncompressedSize64 != uint64(s.Size):
			return fmt.Errorf("its %s has %d bytes, not %d", s.Path, entry.UncompressedSize64, s.Size)
		}
		if left -= s.Size; left < 0 {
			return fmt.Errorf("its files have more than the %d bytes of the archive", archive)
		}
	}
	return nil
}

// extract copies every staged file to the writer that create returns for its
// number. The plan then names it by the path that create returns.
func (f *file) extract(create func(number int) (w io.WriteCloser, path string, err error)) error {
	for i, s := range staged(f.plan) {
		if err := f.extractOne(i, s, create); err != nil {
			return fmt.Errorf("extracting %s from the saved plan: %w", s.Path, err)
		}
	}
	return nil
}

func (f *file) extractOne(number int, s *plan.Staged, create func(int) (io.WriteCloser, string, error)) error {
	from, err := f.entries[s.Path].Open()
	if err != nil {
		return err
	}
	defer from.Close()
	to, path, err := create(number)
	if err != nil {
		return err
	}
	n, err := io.Copy(to, io.LimitReader(from, s.Size+1))
	if err == nil && n != s.Size {
		err = fmt.Errorf("%w: the file has %d bytes, not %d", ErrNotPlan, n, s.Size)
	}
	s.Path = path
	return errors.Join(err, to.Close())
}
