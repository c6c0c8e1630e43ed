// Package planfile saves plans to files, and loads them again.
//
// A saved plan is self-contained and can be applied once. Loading a plan for an
// apply fails if anything that the plan is based on has changed, if the plan
// would change objects that its jobs do not own, or if a staged file differs
// from what was planned. The package does not apply plans.
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

// A saved plan is a zip archive: the plan as JSON, and every staged file in the
// form in which it will be published. It contains events, so it is as
// confidential as the lake.
const (
	planEntry   = "plan.json"
	stagedEntry = "staged/%05d"
	// maxPlan is the maximum size in bytes of the JSON. A partition takes about
	// 500 bytes for each sink. maxRatio is the maximum compression ratio of the
	// JSON. A ratio of ten is typical.
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

// encode writes a plan with its staged files. The function open opens a staged
// file by its path. After an error, the output is not a valid plan.
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
	// The entry is not compressed, because Parquet files already are.
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
	// plan has the entries of its staged files as their paths.
	plan    *plan.Plan
	entries map[string]*zip.File
}

// decode reads a saved plan without its staged files. It returns ErrNotPlan if
// the file is not a plan or is damaged.
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

// readPlan reads the JSON of the plan. It decompresses no more bytes than the
// archive declares, and only if that size is plausible.
func readPlan(archive *zip.Reader) ([]byte, error) {
	i := slices.IndexFunc(archive.File, func(f *zip.File) bool { return f.Name == planEntry })
	if i < 0 {
		return nil, fmt.Errorf("%w: it has no %s", ErrNotPlan, planEntry)
	}
	file := archive.File[i]
	declared := file.UncompressedSize64
	if declared > maxPlan || declared/maxRatio > file.CompressedSize64 {
		return nil, fmt.Errorf("%w: its %s declares %d bytes, compressed to %d, which is not plausible", ErrNotPlan, planEntry, declared, file.CompressedSize64)
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

// decodePlan decodes the JSON of a plan. It accepts only plans that this
// version of prospector saved.
func decodePlan(text []byte) (*plan.Plan, error) {
	var sniff struct {
		Version    int    `json:"version"`
		Prospector string `json:"prospector_version"`
	}
	if err := json.Unmarshal(text, &sniff); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotPlan, err)
	}
	if sniff.Version != FileVersion || sniff.Prospector != jobs.Version {
		return nil, fmt.Errorf("prospector %.20q saved the plan (format %d), but this is prospector %s (format %d); apply the plan with that version, or create a new one",
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

// checkSizes compares the sizes of the staged files with the plan. The files
// are not compressed, so in total they are no larger than the archive.
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
			return fmt.Errorf("its files are larger than the archive, which has %d bytes", archive)
		}
	}
	return nil
}

// extract copies every staged file to the writer that create returns for its
// number, and sets its path in the plan to the path that create returns.
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
