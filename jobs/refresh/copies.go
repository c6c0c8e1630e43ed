package refresh

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"prospector/jobs/plan"
	"prospector/sink/store"
)

// PlanCopies plans the copies that an apply makes of damaged files before it replaces
// them, and adds their keys to the drift.
func PlanCopies(ctx context.Context, stores map[string]store.Store, p *plan.Job) error {
	for _, at := range p.Damaged() {
		from := stores[at.Sink]
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
