package refresh

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"prospector/internal/parallel"
	"prospector/jobs/plan"
	"prospector/sink/store"
)

// PlanCopies plans the copies that an apply makes of damaged files before it replaces
// them, and adds their keys to the drift.
func PlanCopies(ctx context.Context, stores map[string]store.Store, p *plan.Job) error {
	damaged := p.Damaged()
	copies := make([]plan.Copy, len(damaged))
	numbers := make(map[string][]int) // by sink
	for i, at := range damaged {
		numbers[at.Sink] = append(numbers[at.Sink], i)
	}
	for sink, of := range numbers {
		err := parallel.Each(ctx, store.Concurrency(stores[sink]), of, func(ctx context.Context, i int) (err error) {
			copies[i], err = planCopy(ctx, stores[sink], damaged[i], p.Found.Prior[sink].Damaged[damaged[i].Key])
			return err
		})
		if err != nil {
			return err
		}
	}
	p.Output.Copies = append(p.Output.Copies, copies...)
	for _, c := range copies {
		i := slices.IndexFunc(p.Found.Drift, func(d plan.Drift) bool { return d.Sink == c.Sink && d.Key == c.Key })
		if i >= 0 {
			p.Found.Drift[i].KeptAs = c.To
		}
	}
	return nil
}

// planCopy plans the copy of a damaged file, which had that generation when the sink was
// listed.
func planCopy(ctx context.Context, from store.Store, at plan.At, generation string) (c plan.Copy, err error) {
	o, err := from.Stat(ctx, at.Key)
	if err == nil && o.Generation != generation || errors.Is(err, store.ErrNotExist) {
		return c, fmt.Errorf("planning a copy of the damaged file %s: it has changed since the sink was listed; run again", from.URI(at.Key))
	}
	if err != nil {
		return c, fmt.Errorf("planning a copy of the damaged file %s: %w", from.URI(at.Key), err)
	}
	return plan.Copy{Sink: at.Sink, Key: at.Key, To: plan.DamagedKey(at.Key, o.CRC32C), Sum: plan.Sum{Size: o.Size, CRC32C: o.CRC32C}}, nil
}
