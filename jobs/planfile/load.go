package planfile

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"prospector/internal/parallel"
	"prospector/jobs/plan"
	"prospector/schemas"
	"prospector/sink"
	"prospector/sink/verify"
)

// Loader loads saved plans for an apply.
type Loader struct {
	Current Current
	// MakeDir creates the directory for the staged files and returns its path.
	MakeDir func() (string, error)
	// Limit is the maximum number of staged files that are verified at a time.
	Limit int
}

// Load reads a saved plan and its staged files. It returns an error if the plan
// is stale, if it would change objects that its jobs do not own, or if a staged
// file differs from what was planned.
func (l Loader) Load(ctx context.Context, path string) (*plan.Plan, error) {
	return open(path, func(f *file) error {
		if err := l.Current.check(ctx, f.plan); err != nil {
			return err
		}
		if err := l.Current.CheckPlaces(f.plan); err != nil {
			return err
		}
		dir, err := l.MakeDir()
		if err != nil {
			return err
		}
		err = f.extract(func(number int) (io.WriteCloser, string, error) {
			path := filepath.Join(dir, fmt.Sprintf("%05d", number))
			w, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
			return w, path, err
		})
		if err != nil {
			return err
		}
		return l.verify(ctx, f.plan)
	})
}

// verify re-reads the staged partitions with the second reader, because their
// files may have changed since they were staged.
func (l Loader) verify(ctx context.Context, p *plan.Plan) error {
	type part struct {
		schema    schemas.Table
		partition sink.Partition
		*plan.Staged
	}
	var parts []part
	for _, j := range p.Jobs {
		if j.SchemaFingerprint != "" && len(j.Output.Changes) > 0 && (j.Schema == nil || j.Schema.Fingerprint() != j.SchemaFingerprint) {
			return fmt.Errorf("%w: %s does not have the schema that its fingerprint identifies", ErrNotPlan, j.Address)
		}
		for _, c := range j.Output.Changes {
			for _, f := range c.Staged {
				schema, err := l.Current.schemaOf(p, j, f.SchemaFingerprint)
				if err != nil {
					return err
				}
				partition, err := sink.ParsePartition(schema, c.Partition)
				if err != nil {
					return fmt.Errorf("%w: %w", ErrNotPlan, err)
				}
				parts = append(parts, part{schema, partition, f})
			}
		}
	}
	return parallel.Each(ctx, l.Limit, parts, func(ctx context.Context, part part) error {
		f, err := os.Open(part.Path)
		if err != nil {
			return err
		}
		defer f.Close()
		err = verify.Published(ctx, f, part.Size, part.schema, part.partition, part.Rows, part.Content)
		if err != nil {
			return fmt.Errorf("its file of partition %s differs from what was planned; nothing was published: %w", part.partition.Path, err)
		}
		return nil
	})
}

// schemaOf returns the schema of a staged file: the declared schema, or the
// schema of published files if the plan only removes rows from them.
func (c Current) schemaOf(p *plan.Plan, j plan.Job, fingerprint string) (schemas.Table, error) {
	if declared, ok := c.Config.Job(j.Address); ok && declared.Schema.Fingerprint() == fingerprint {
		return declared.Schema, nil
	}
	if owned := c.owned(p, j.Address); owned != nil {
		if schema, ok := owned.Schemas[fingerprint]; ok {
			return schema, nil
		}
	}
	return schemas.Table{}, fmt.Errorf("%w: %s has files with the unknown schema %.40q", ErrNotPlan, j.Address, fingerprint)
}
