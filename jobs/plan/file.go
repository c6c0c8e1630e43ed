package plan

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"prospector/jobs"
)

// ErrNotPlan says that a file is no saved plan, or is damaged.
var ErrNotPlan = errors.New("not a saved plan")

// A saved plan is a zip archive: the plan as JSON, and beside it every staged
// file, as it will be published. It holds events, so it is as secret as the lake.
const (
	planEntry   = "plan.json"
	stagedEntry = "staged/%05d"
	// maxPlan is the size in bytes of the largest plan that is read, which has some
	// 500 bytes a partition and sink. maxRatio is how many times larger it may be
	// than when it is compressed: ten times is usual.
	maxPlan  = 1 << 30
	maxRatio = 200
)

// staged are the files that wait to be published, in the order of the plan.
func (p *Plan) staged() (files []*Staged) {
	add := func(s *Staged) {
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

// Save writes a plan with its staged files, which open gives by their paths.
// When it fails, what was written is no plan.
func Save(w io.Writer, p *Plan, open func(path string) (io.ReadCloser, error)) error {
	saved, err := p.clone()
	if err != nil {
		return err
	}
	archive := zip.NewWriter(w)
	for i, s := range saved.staged() {
		name := fmt.Sprintf(stagedEntry, i)
		if err := saveStaged(archive, name, s, p.Created, open); err != nil {
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

func saveStaged(archive *zip.Writer, name string, s *Staged, modified time.Time, open func(string) (io.ReadCloser, error)) error {
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
func (p *Plan) clone() (*Plan, error) {
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

// File is a saved plan that is open.
type File struct {
	// Plan's staged files have the names by which Open knows them.
	Plan    *Plan
	entries map[string]*zip.File
}

// Load reads a saved plan, but not yet its staged files. It gives ErrNotPlan for
// a file that is none, or is damaged.
func Load(r io.ReaderAt, size int64) (*File, error) {
	archive, err := zip.NewReader(r, size)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotPlan, err)
	}
	text, err := readPlan(archive)
	if err != nil {
		return nil, err
	}
	var sniff struct {
		Version    int    `json:"version"`
		Prospector string `json:"prospector_version"`
	}
	if err := json.Unmarshal(text, &sniff); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotPlan, err)
	}
	if sniff.Version != FileVersion || sniff.Prospector != jobs.Version {
		return nil, fmt.Errorf("the plan was saved by prospector %.20q (format %d) and this is prospector %s (format %d): apply it with that one, or plan again",
			sniff.Prospector, sniff.Version, jobs.Version, FileVersion)
	}
	var f fileV2
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil || f.Plan == nil {
		return nil, errors.Join(fmt.Errorf("%w: its %s is damaged", ErrNotPlan, planEntry), err)
	}
	out := &File{f.Plan.plan(), make(map[string]*zip.File)}
	if err := out.Plan.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotPlan, err)
	}
	for _, entry := range archive.File {
		out.entries[entry.Name] = entry
	}
	if err := out.checkSizes(size); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotPlan, err)
	}
	return out, nil
}

// readPlan reads the plan's JSON. It inflates no more than the archive declares,
// and that only when a plan may have it.
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

// checkSizes compares the staged files with what the plan says of them. They are
// not compressed, so that together they are no larger than the archive.
func (f *File) checkSizes(archive int64) error {
	left := archive
	for _, s := range f.Plan.staged() {
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

// check finds what no saved plan has, so that those who carry one out need not.
func (p *Plan) check() error {
	for i := range p.Jobs {
		j := &p.Jobs[i]
		for _, sink := range j.Sinks {
			if j.Found.Prior[sink] == nil {
				return fmt.Errorf("%s has no prior state of %s", j.Address, sink)
			}
		}
		writes := [][]Write{j.Output.Foreign, j.Output.Obsolete}
		for _, c := range j.Output.Changes {
			if slices.Contains(c.Staged, nil) {
				return fmt.Errorf("%s has no file for partition %s", j.Address, c.Partition)
			}
			for _, w := range c.Writes {
				if w.Action != Delete && (w.File < 0 || w.File >= len(c.Staged)) {
					return fmt.Errorf("%s has no file for partition %s", j.Address, c.Partition)
				}
			}
			writes = append(writes, c.Writes)
		}
		if q := j.Output.Quarantine; q != nil {
			if q.After > 0 && q.Staged == nil {
				return fmt.Errorf("%s has no file for the quarantine", j.Address)
			}
			writes = append(writes, q.Writes)
		}
		for _, all := range writes {
			for _, w := range all {
				if j.Found.Prior[w.Sink] == nil {
					return fmt.Errorf("%s writes to %s, which is not among its sinks", j.Address, w.Sink)
				}
			}
		}
	}
	return nil
}

// CheckPlaces finds an object that the plan would write or delete, and that is not
// where the plan's own objects are: the files of a partition in its directory, all
// others under the table's prefix or in the place of its quarantine. valid judges
// whether a key is one at all.
func (p *Plan) CheckPlaces(valid func(key string) error) error {
	for i := range p.Jobs {
		j := &p.Jobs[i]
		check := func(writes []Write, belongs func(key string) bool) error {
			for _, w := range writes {
				if err := valid(w.Key); err != nil {
					return fmt.Errorf("%s: %w", j.Address, err)
				}
				if !belongs(w.Key) {
					return fmt.Errorf("%s would change %q, which is not part of its table %s", j.Address, w.Key, j.TableName)
				}
			}
			return nil
		}
		under := func(dir string) func(string) bool {
			return func(key string) bool { return strings.HasPrefix(key, dir) }
		}
		for _, c := range j.Output.Changes {
			keys := Keys(j.TableName, c.Partition, c.Staged)
			for _, w := range c.Writes {
				if w.Action != Delete && w.Key != keys[w.File] {
					return fmt.Errorf("%s would write %q, which is not a file of partition %s", j.Address, w.Key, c.Partition)
				}
			}
			if err := check(c.Writes, under(TablePrefix(j.TableName)+c.Partition+"/")); err != nil {
				return err
			}
		}
		table := under(TablePrefix(j.TableName))
		quarantine := func(key string) bool { return key == QuarantineKey(j.TableName) }
		either := func(key string) bool { return table(key) || quarantine(key) }
		var q []Write
		if j.Output.Quarantine != nil {
			q = j.Output.Quarantine.Writes
		}
		if err := errors.Join(check(q, quarantine), check(j.Output.Obsolete, either), check(j.Output.Foreign, table)); err != nil {
			return err
		}
	}
	return nil
}

// Extract copies every staged file to what create makes for its number, and
// has the plan name it by the path that create gives.
func (f *File) Extract(create func(number int) (w io.WriteCloser, path string, err error)) error {
	for i, s := range f.Plan.staged() {
		if err := f.extract(i, s, create); err != nil {
			return fmt.Errorf("taking %s out of the saved plan: %w", s.Path, err)
		}
	}
	return nil
}

func (f *File) extract(number int, s *Staged, create func(int) (io.WriteCloser, string, error)) error {
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
