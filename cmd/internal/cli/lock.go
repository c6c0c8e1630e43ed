package cli

import (
	"context"
	"errors"
	"fmt"

	"prospector/cmd/internal/view"
	"prospector/jobs"
	"prospector/jobs/state"
	"prospector/schemas"
	"prospector/sink/store"
	"prospector/sink/store/local"
)

// lockSchemas updates the schema lock to the declared tables. Without upgrade it
// refuses to replace accepted columns.
func lockSchemas(ctx context.Context, e *env, c *jobs.Configuration, s *state.State, upgrade bool) error {
	s = s.Clone() // with the moves of the configuration
	for _, m := range c.Moved {
		if s.Jobs[m.From] != nil && s.Jobs[m.To] == nil {
			if err := s.Move(m.From, m.To); err != nil {
				return err
			}
		}
	}
	if refused := replacements(c, s); !upgrade && len(refused) > 0 {
		return refused
	}
	dir, err := local.Open(c.Dir)
	if err != nil {
		return err
	}
	written, err := writeLock(ctx, dir, declaredLock(c))
	if err := errors.Join(err, dir.Close()); err != nil {
		return jobs.Diagnostic{Severity: jobs.Error, Summary: "The schema lock cannot be written",
			Detail: fmt.Sprintf("%s.\n\nIf %s is not a regular file, remove it.", err, schemas.LockFile)}
	}
	if !written {
		e.view.Printf("Schema lock: %s, unchanged\n", schemas.LockFile)
		return nil
	}
	e.view.Printf("Schema lock: %s, updated; commit it with the configuration\n", schemas.LockFile)
	e.view.SchemaDiff(schemaDiff(c, s))
	return nil
}

// declaredLock returns the lock that accepts every table as it is declared.
func declaredLock(c *jobs.Configuration) schemas.Lock {
	lock := make(schemas.Lock)
	for _, job := range c.Jobs {
		lock[job.Address] = job.Schema
	}
	return lock
}

// writeLock writes the lock file unless the file has that content already.
func writeLock(ctx context.Context, dir store.Store, lock schemas.Lock) (written bool, err error) {
	content := store.ContentOf(lock.Encode(), "text/plain")
	there, err := dir.Stat(ctx, schemas.LockFile)
	if err == nil && there.Size == content.Size && there.CRC32C == content.CRC32C {
		return false, nil
	}
	if err != nil && !errors.Is(err, store.ErrNotExist) {
		return false, err
	}
	_, err = dir.Put(ctx, schemas.LockFile, content, store.Condition{})
	return err == nil, err
}

// schemaDiff compares the declared tables with the accepted ones: those in the lock
// and, if there is a state, the published ones.
func schemaDiff(c *jobs.Configuration, s *state.State) (d view.SchemaDiff) {
	d.Locked = c.Lock != nil
	declared := make(map[string]bool)
	for _, job := range c.Jobs {
		declared[job.Address] = true
		accepted, ok := s.Accepted(job.Address, c.Lock)
		changes := schemas.Diff(accepted, job.Schema)
		if !ok || len(changes) > 0 {
			d.Jobs = append(d.Jobs, view.JobDiff{Address: job.Address, New: !ok, Changes: changes})
		}
	}
	for _, address := range c.Lock.Addresses() {
		if !declared[address] {
			d.Gone = append(d.Gone, address)
		}
	}
	return d
}

// replacements returns an error for each job whose table would replace an accepted
// column.
func replacements(c *jobs.Configuration, s *state.State) (refused jobs.Diagnostics) {
	for _, job := range c.Jobs {
		accepted, ok := s.Accepted(job.Address, c.Lock)
		replaces := schemas.Replaces(schemas.Diff(accepted, job.Schema))
		if !ok || len(replaces) == 0 {
			continue
		}
		block := job.SchemaBlock
		if block.Address == "" { // the built-in table
			block = job.Block
		}
		refused = append(refused, block.Diagnose("", "A schema change needs approval", fmt.Sprintf(
			"The table of %s differs from the accepted one. Existing queries could break:\n\n%s\n\nTo accept the change, run:\n\n    prospector init -upgrade",
			job.Address, schemas.ListChanges(replaces))))
	}
	return refused
}
