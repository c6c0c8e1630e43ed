package run

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"prospector/internal/nolink"
	"prospector/internal/parallel"
	"prospector/jobs"
	"prospector/jobs/erase"
	"prospector/jobs/lists"
	"prospector/jobs/plan"
	"prospector/jobs/refresh"
	"prospector/jobs/state"
	"prospector/schemas"
	"prospector/sink"
	"prospector/sink/store"
	"prospector/sink/verify"
)

// SavePlan writes a plan of this session, and what it has staged, into a file
// that another session, on any machine, can apply.
func (s *Session) SavePlan(p *plan.Plan, path string) (err error) {
	defer func() {
		if err != nil {
			err = jobs.Diagnostic{Severity: jobs.Error, Summary: "The plan could not be saved", Detail: fmt.Sprintf("Writing %s: %s.", path, err)}
		}
	}()
	dir, name, err := planFile(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	// A sibling that is renamed at the end: a plan that exists is complete. It
	// holds events, so only its owner may read it.
	temporary := "." + name + "." + rand.Text()
	f, err := dir.Create(temporary)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, dir.Remove(temporary))
		}
	}()
	err = plan.Save(f, p, func(path string) (io.ReadCloser, error) { return os.Open(path) })
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return dir.Rename(temporary, dir, name)
}

// planFile opens the directory of a plan that is to be saved. The plan replaces a
// file, but no symbolic link.
func planFile(path string) (dir *nolink.Dir, name string, err error) {
	if dir, err = nolink.Open(filepath.Dir(path)); err != nil {
		return nil, "", err
	}
	name = filepath.Base(path)
	if _, err := dir.Regular(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		dir.Close()
		return nil, "", err
	}
	return dir, name, nil
}

// CanSavePlan gives the error that SavePlan would give for the path.
func CanSavePlan(path string) error {
	if strings.HasSuffix(path, string(filepath.Separator)) {
		return errors.New("it is the name of a directory")
	}
	dir, name, err := planFile(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	probe := "." + name + "." + rand.Text()
	f, err := dir.Create(probe)
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), dir.Remove(probe))
}

// ReadPlan reads a saved plan, to be shown. Its staged files stay in it.
func ReadPlan(path string) (*plan.Plan, error) {
	return withSavedPlan(path, func(*plan.File) error { return nil })
}

func withSavedPlan(path string, use func(*plan.File) error) (*plan.Plan, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, jobs.Diagnostic{Severity: jobs.Error, Summary: "There is no such plan",
			Detail: fmt.Sprintf("There is no file %s. prospector plan -out=FILE makes one.", path)}
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	saved, err := plan.Load(f, info.Size())
	if err == nil {
		err = use(saved)
	}
	var d jobs.Diagnostic
	switch {
	case errors.As(err, &d):
		return nil, d
	case err != nil:
		return nil, jobs.Diagnostic{Severity: jobs.Error, Summary: "The plan cannot be used",
			Detail: fmt.Sprintf("Reading %s: %s. Plan again, with prospector plan -out=FILE.", path, err)}
	}
	return saved.Plan, nil
}

// LoadPlan reads a saved plan that is to be applied, and refuses it when what it
// was made from is no longer so.
func (s *Session) LoadPlan(ctx context.Context, path string) (*plan.Plan, error) {
	return withSavedPlan(path, func(f *plan.File) error {
		if err := s.fresh(ctx, f.Plan); err != nil {
			return err
		}
		if err := s.checkPlaces(f.Plan); err != nil {
			return err
		}
		dir, err := s.makeStageDir("plan")
		if err != nil {
			return err
		}
		err = f.Extract(func(number int) (io.WriteCloser, string, error) {
			path := filepath.Join(dir, fmt.Sprintf("%05d", number))
			w, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
			return w, path, err
		})
		if err != nil {
			return err
		}
		return s.proveSaved(ctx, f.Plan)
	})
}

// checkPlaces refuses a plan that would change objects, or use sinks, that are not
// those of its jobs. It is asked before the first write.
func (s *Session) checkPlaces(p *plan.Plan) error {
	refuse := func(format string, args ...any) error {
		return jobs.Diagnostic{Severity: jobs.Error, Summary: "The plan would change what is not its own",
			Detail: fmt.Sprintf(format, args...) + ".\n\nNothing was published. A saved plan that says so was altered: plan again. Otherwise this is a bug in prospector; please report it."}
	}
	if err := p.CheckPlaces(store.CheckKey); err != nil {
		return refuse("%s", err)
	}
	for _, j := range p.Jobs {
		tables, sinks := s.placesOf(p, j.Address)
		if !tables[j.TableName] {
			return refuse("%s does not have a table %q", j.Address, j.TableName)
		}
		for _, sink := range j.Sinks {
			if !sinks[sink] {
				return refuse("%s does not have the sink %s", j.Address, sink)
			}
		}
		if l := j.Source.Reading.List; l != nil && !digestText.MatchString(l.Digest) {
			return refuse("%s has a list of prospects with the digest %.40q", j.Address, l.Digest)
		}
	}
	return nil
}

var digestText = regexp.MustCompile(`^[0-9a-f]{32}$`)

// placesOf gives the tables and sinks that a job declares or that the state has
// for it, under its former address too.
func (s *Session) placesOf(p *plan.Plan, address string) (tables, sinks map[string]bool) {
	tables, sinks = make(map[string]bool), make(map[string]bool)
	if declared, ok := s.Config.Job(address); ok {
		tables[declared.TableName] = true
		for _, sink := range declared.Sinks {
			sinks[sink.Address] = true
		}
	}
	if owned := s.owned(p, address); owned != nil {
		tables[owned.TableName] = true
		for sink := range owned.Sinks {
			sinks[sink] = true
		}
	}
	return tables, sinks
}

// owned is what the state has of a job of a plan, which it may have under another
// address until the plan is applied; nil when it has nothing.
func (s *Session) owned(p *plan.Plan, address string) *state.Job {
	for _, m := range slices.Backward(p.Moved) {
		if m.To == address && s.state.Jobs[m.From] != nil {
			address = m.From
		}
	}
	return s.state.Jobs[address]
}

// proveSaved has the second reader read the files of a saved plan, which were in
// other hands since it read them last.
func (s *Session) proveSaved(ctx context.Context, p *plan.Plan) error {
	type part struct {
		table     schemas.Table
		partition sink.Partition
		*plan.Staged
	}
	var parts []part
	for _, j := range p.Jobs {
		if j.SchemaFingerprint != "" && len(j.Output.Changes) > 0 && (j.Schema == nil || j.Schema.Fingerprint() != j.SchemaFingerprint) {
			return fmt.Errorf("%w: %s has another table than it says", plan.ErrNotPlan, j.Address)
		}
		for _, c := range j.Output.Changes {
			for _, f := range c.Staged {
				table, err := s.stagedTable(p, j, f.SchemaFingerprint)
				if err != nil {
					return err
				}
				partition, err := sink.ParsePartition(table, c.Partition)
				if err != nil {
					return fmt.Errorf("%w: %w", plan.ErrNotPlan, err)
				}
				parts = append(parts, part{table, partition, f})
			}
		}
	}
	return parallel.Each(ctx, s.memory().Width(), parts, func(ctx context.Context, part part) error {
		f, err := os.Open(part.Path)
		if err != nil {
			return err
		}
		defer f.Close()
		err = verify.Published(ctx, f, part.Size, part.table, part.partition, part.Rows, part.Content)
		if err != nil {
			return fmt.Errorf("its file of partition %s is not what was planned, and nothing was published: %w", part.partition.Path, err)
		}
		return nil
	})
}

// stagedTable is the table of a staged file: the declared one, or that of the
// published files, when a plan only takes rows out of them.
func (s *Session) stagedTable(p *plan.Plan, j plan.Job, schema string) (schemas.Table, error) {
	if declared, ok := s.Config.Job(j.Address); ok && declared.Schema.Fingerprint() == schema {
		return declared.Schema, nil
	}
	if owned := s.owned(p, j.Address); owned != nil {
		if table, ok := owned.Schemas[schema]; ok {
			return table, nil
		}
	}
	return schemas.Table{}, fmt.Errorf("%w: %s has files of the schema %.40q, which is not known", plan.ErrNotPlan, j.Address, schema)
}

// stale says why a saved plan is not applied.
func stale(format string, args ...any) error {
	return jobs.Diagnostic{Severity: jobs.Error, Summary: "Saved plan is stale",
		Detail: "The plan can no longer be applied, since " + fmt.Sprintf(format, args...) + "\n\nNothing was published. Plan again."}
}

// fresh gives nil when everything that the plan was made from is still so.
func (s *Session) fresh(ctx context.Context, p *plan.Plan) error {
	switch {
	case p.Serial == 0 && s.state.Serial == 0:
		s.state.Lineage = p.Lineage // of the state that the plan is to begin
	case p.Serial == 0:
		return stale("it was made before there was a state, and now there is one: the plan was applied already, or another run was first.")
	case s.state.Serial == 0:
		return stale("the state that it was made from is not there any more. Is this the right directory, and the right backend?")
	case p.Lineage != s.state.Lineage:
		return stale("the state has another lineage: it is the state of another lake. The plan's is %s, the state's is %s.", p.Lineage, s.state.Lineage)
	case p.Serial != s.state.Serial:
		return stale("the state has changed: it has the serial %d, and the plan was made from %d. The plan was applied already, or another run was quicker.", s.state.Serial, p.Serial)
	}
	if err := s.sameConfiguration(p); err != nil {
		return err
	}
	relocated, err := plan.Relocate(s.state, s.Config)
	if err != nil {
		return err
	}
	if _, err := s.readTombstones(ctx); err != nil {
		return err
	}
	for _, j := range p.Jobs {
		if err := s.sameProspects(j); err != nil {
			return err
		}
		var sinks []jobs.Sink
		for _, sink := range s.Config.Sinks {
			if slices.Contains(j.Sinks, sink.Address) {
				sinks = append(sinks, sink)
			}
		}
		found, _, err := refresh.Job(ctx, s.open, relocated.State, j.Address, j.TableName, sinks)
		if err != nil {
			return err
		}
		if changed := j.Outdated(found); len(changed) > 0 {
			return stale("objects have changed in the sinks since it was made:\n\n%s", refresh.DriftList(changed, s.uri))
		}
		for _, sink := range j.Sinks { // the same place may have another name on this machine
			j.Found.Prior[sink].URI = found[sink].URI
		}
	}
	return nil
}

// sameConfiguration compares what the plan and the directory declare. A changed
// schema is told apart, since it is the change that weighs most.
func (s *Session) sameConfiguration(p *plan.Plan) error {
	for _, j := range p.Jobs {
		declared, ok := s.Config.Job(j.Address)
		if locked, ok := s.Config.Lock[j.Address]; ok && j.Schema != nil && len(schemas.Replaces(schemas.Diff(locked, *j.Schema))) > 0 {
			return stale("the schema of %s that it has is not the one in %s any more.", j.Address, schemas.LockFile)
		}
		if ok && j.SchemaFingerprint != "" && j.SchemaFingerprint != declared.Schema.Fingerprint() {
			return stale("the schema of %s has changed: its columns or partition keys are not those of the files in the plan.", j.Address)
		}
	}
	if p.Config != s.Config.Digest() {
		return stale("the configuration, or the value of a variable, is not what it was.")
	}
	return nil
}

// sameProspects reads the list of prospects again. One from standard input is
// gone, so the plan's counts.
func (s *Session) sameProspects(j plan.Job) error {
	declared, ok := s.Config.Job(j.Address)
	if !ok || j.Source.Reading.List == nil {
		return nil
	}
	from := declared.Prospects
	if from == nil || from.File == "-" {
		return nil
	}
	ids, _, err := s.loadProspects(*from)
	if err != nil {
		return err
	}
	ids, _ = erase.Requested(declared, ids, s.tombstones)
	slices.Sort(ids)
	if lists.ProspectsDigest(ids) != j.Source.Reading.List.Digest {
		return stale("the list of prospects %s is not what it was when %s was read.", from.File, j.Address)
	}
	return nil
}
