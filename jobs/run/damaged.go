package run

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"prospector/jobs/plan"
	"prospector/sink/store"
)

// A damaged file of a table may hold rows that no source gives any more. So apply
// copies it within its sink before it replaces or deletes it, to a key that no
// reader of the table sees. The copies are private, and erase removes them.

// planCopies plans the copies of damaged files, and notes in the drift where they
// will be.
func (s *Session) planCopies(ctx context.Context, p *plan.Job) error {
	for _, at := range p.Damaged() {
		from := s.stores[at.Sink]
		o, err := from.Stat(ctx, at.Key)
		if err == nil && o.Generation != p.Found.Prior[at.Sink].Damaged[at.Key] || errors.Is(err, store.ErrNotExist) {
			return fmt.Errorf("planning a copy of the damaged file %s: it has changed since the sink was listed; run again", from.URI(at.Key))
		}
		if err != nil {
			return fmt.Errorf("planning a copy of the damaged file %s: %w", from.URI(at.Key), err)
		}
		to := plan.DamagedKey(at.Key, o.CRC32C)
		p.Output.Copies = append(p.Output.Copies, plan.Copy{Sink: at.Sink, Key: at.Key, To: to, Sum: plan.Sum{Size: o.Size, CRC32C: o.CRC32C}})
		i := slices.IndexFunc(p.Found.Drift, func(d plan.Drift) bool { return d.Sink == at.Sink && d.Key == at.Key })
		if i >= 0 {
			p.Found.Drift[i].KeptAs = to
		}
	}
	return nil
}

// keepDamaged makes the planned copies, before anything is written.
func (a *applying) keepDamaged(ctx context.Context) error {
	for _, c := range a.plan.Output.Copies {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		in := a.session.stores[c.Sink]
		if err := copyAside(ctx, in, c); err != nil {
			return fmt.Errorf("%s: copying the damaged file %s to %s before it is replaced: %w", a.plan.Address, in.URI(c.Key), in.URI(c.To), err)
		}
	}
	return nil
}

// copyAside copies one object. A copy that is there already, from an apply that was
// killed, is enough: the original may be replaced by now.
func copyAside(ctx context.Context, in store.Store, c plan.Copy) error {
	switch there, err := in.Stat(ctx, c.To); {
	case err == nil && there.Size == c.Sum.Size && there.CRC32C == c.Sum.CRC32C:
		return nil
	case err != nil && !errors.Is(err, store.ErrNotExist):
		return err
	}
	r, err := in.Open(ctx, c.Key)
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = in.Put(ctx, c.To, store.Content{Reader: r, Size: c.Sum.Size, CRC32C: c.Sum.CRC32C, Type: "application/octet-stream"}, store.Condition{})
	return err
}
