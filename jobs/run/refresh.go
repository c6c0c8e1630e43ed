package run

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"prospector/internal/nolink"
	"prospector/internal/terminal"
	"prospector/jobs"
	"prospector/jobs/plan"
	"prospector/jobs/state"
	"prospector/sink/store"
)

// refreshInto looks at what the sinks really hold of the job, and puts it into
// its plan. What the job has published elsewhere, as a sink's place was changed,
// stays there and is told of.
func (w *planning) refreshInto(ctx context.Context, into *plan.Job, sinks []jobs.Sink) (err error) {
	var left map[string]string
	into.Found.Prior, left, err = w.refresh(ctx, w.prior, into.Address, into.TableName, sinks)
	if err != nil {
		return err
	}
	for _, sink := range into.Sinks {
		into.Found.Drift = append(into.Found.Drift, into.Found.Prior[sink].Drift...)
	}
	noteHeld(into.Found.Drift, w.prior.Jobs[into.Address])
	if w.options.Mode == plan.RefreshOnly { // what is elsewhere stays as it is
		into.Sinks = slices.DeleteFunc(into.Sinks, func(sink string) bool { return left[sink] != "" })
		return nil
	}
	into.Found.AbandonedURIs = slices.Sorted(maps.Values(left))
	if len(left) > 0 {
		into.Problems.Warnings = append(into.Problems.Warnings, jobs.Diagnostic{
			Severity: jobs.Warning, Address: into.Address, Summary: "A table has another place now",
			Detail: "The sink or the table's name has changed since it was published. What was published stays where it is, and prospector will not look after it any more:\n\n  " +
				strings.Join(into.Found.AbandonedURIs, "\n  ") + "\n\nDelete it when no reader uses it; or undo the change.",
		})
	}
	return nil
}

// noteHeld notes how many rows or events the state says drifted objects had.
func noteHeld(drift []plan.Drift, owned *state.Job) {
	if owned == nil || len(drift) == 0 {
		return
	}
	held := make(map[plan.At]int64)
	for sink, of := range owned.Sinks {
		for _, p := range of.Partitions {
			for _, f := range p.Files {
				held[plan.At{Sink: sink, Key: f.Key}] = f.Rows
			}
		}
		if q := of.Quarantine; q != nil {
			held[plan.At{Sink: sink, Key: q.Object.Key}] = q.Events
		}
	}
	for i, d := range drift {
		drift[i].Held = held[plan.At{Sink: d.Sink, Key: d.Key}]
	}
}

// refresh looks at what the sinks really hold of a job, by sink address, and
// gives the places that the state has for some of them and the configuration no
// longer.
func (s *Session) refresh(ctx context.Context, prior *state.State, address, table string, sinks []jobs.Sink) (found map[string]*plan.Refreshed, left map[string]string, err error) {
	found, left = make(map[string]*plan.Refreshed), make(map[string]string)
	owned := prior.Clone().Job(address)
	for _, sink := range sinks {
		opened, err := s.open(ctx, sink)
		if err != nil {
			return nil, nil, err
		}
		before := owned.Sink(sink.Address)
		if uri := opened.URI(table); before.URI != uri {
			if !before.Vacant() {
				left[sink.Address] = before.URI
			}
			before = &state.Sink{URI: uri}
		}
		seen, err := list(ctx, opened, table)
		if err != nil {
			return nil, nil, unusableSink(sink, "Sink cannot be listed", err)
		}
		sums, err := checksums(ctx, opened, plan.Suspects(before, seen))
		if err != nil {
			return nil, nil, unusableSink(sink, "Sink cannot be read", err)
		}
		found[sink.Address] = plan.Refresh(sink.Address, table, before, seen, sums)
	}
	return found, left, nil
}

// unusableSink makes an error about a sink. A symbolic link has its own summary.
func unusableSink(sink jobs.Sink, summary string, err error) error {
	if link, ok := errors.AsType[*nolink.LinkError](err); ok {
		summary, err = "The sink has a symbolic link", link
	}
	return sink.Unusable(summary, err)
}

func list(ctx context.Context, from store.Store, job string) (seen []plan.Seen, err error) {
	for _, prefix := range []string{plan.TablePrefix(job), plan.QuarantineKey(job)} {
		for entry, err := range from.List(ctx, prefix) {
			if err != nil {
				return nil, err
			}
			seen = append(seen, plan.Seen(entry))
		}
	}
	return seen, nil
}

// checksums reads the objects that the listing did not prove to be ours.
func checksums(ctx context.Context, from store.Store, keys []string) (map[string]plan.Sum, error) {
	found := make([]*plan.Sum, len(keys))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(defaultParallelism)
	for i, key := range keys {
		group.Go(func() error {
			object, err := from.Stat(ctx, key)
			if errors.Is(err, store.ErrNotExist) {
				return nil // gone since it was listed: it counts as deleted
			}
			if err != nil {
				return err
			}
			found[i] = &plan.Sum{Size: object.Size, CRC32C: object.CRC32C}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	sums := make(map[string]plan.Sum)
	for i, sum := range found {
		if sum != nil {
			sums[keys[i]] = *sum
		}
	}
	return sums, nil
}

// inTheWay is an error when foreign objects stand where files of ours must go.
func (s *Session) inTheWay(job jobs.Job, p plan.Job) error {
	inTheWay := plan.InTheWay(p.Output.Changes, p.Found.Drift)
	if len(inTheWay) == 0 {
		return nil
	}
	return jobs.Diagnostic{
		Severity: jobs.Error, Address: job.Address,
		Summary: "Objects are in the way that the state does not know",
		Detail: fmt.Sprintf("%s\n\nThe plan would overwrite them, and they may not be prospector's. If the state is lost or old, restore it or its backup:\n\n    prospector state push -force FILE\n\nIf that does not help, move the objects away, or let the job write elsewhere. Nothing was published.",
			s.driftList(inTheWay)),
		Origin: &job.Origin,
	}
}

// driftWarnings tells what has changed outside of prospector, and what the plan
// does about it.
func (s *Session) driftWarnings(job jobs.Job, p plan.Job) (warnings jobs.Diagnostics) {
	var foreign, changed []plan.Drift
	repaired := 0
	writes := p.Writes()
	for _, d := range p.Found.Drift {
		if d.Kind == plan.Foreign {
			foreign = append(foreign, d)
			continue
		}
		changed = append(changed, d)
		if writes[plan.At{Sink: d.Sink, Key: d.Key}] {
			repaired++
		}
	}
	if len(changed) > 0 {
		warnings = append(warnings, jobs.Diagnostic{
			Severity: jobs.Warning, Address: job.Address,
			Summary: "Objects have changed outside of prospector",
			Detail:  s.driftList(changed) + "\n\n" + remedy(p, repaired, len(changed)),
		})
	}
	if len(foreign) > 0 {
		effect := "Move them away; prospector leaves them alone, unless the job says on_foreign_file = \"delete\"."
		if len(p.Output.Foreign) == len(foreign) {
			effect = "This plan deletes them, as the job says."
		}
		warnings = append(warnings, jobs.Diagnostic{
			Severity: jobs.Warning, Address: job.Address,
			Summary: "Foreign objects under the table's prefix",
			Detail:  s.driftList(foreign) + "\n\nReaders of the lake take them for part of the table; BigQuery fails on any that is not Parquet. " + effect,
		})
	}
	return warnings
}

// remedy says what a plan does about so many of the objects that have changed.
func remedy(p plan.Job, repaired, of int) string {
	if p.SchemaFingerprint != "" && len(p.Output.Changes) == 0 {
		return "The next plan that reads the source repairs what it can."
	}
	effect := "This plan repairs them."
	switch {
	case p.Destroy:
		effect = "This plan deletes what is there."
	case repaired < of:
		effect = fmt.Sprintf("This plan repairs %d of the %d, and leaves the others, which it is not about or has no rows for.", repaired, of)
	}
	if lost := p.Unrestored(); lost > 0 && !p.Destroy {
		effect += fmt.Sprintf(" %d of their rows cannot be restored, since the source does not give them any more.", lost)
	}
	if lost := p.UnrestoredEvents(); lost > 0 && !p.Destroy {
		effect += fmt.Sprintf(" %s cannot be restored.", plural(lost, "quarantined event"))
	}
	return effect
}

// plural is a count of things.
func plural(n int64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// difference says how an object has changed, where a damaged one is kept and, of
// the quarantine, how many events that concerns.
func (s *Session) difference(d plan.Drift) string {
	kind := string(d.Kind)
	if d.Kind == plan.Foreign {
		kind = "unknown"
	}
	thing := "row"
	if plan.IsQuarantine(d.Key) {
		thing = "event"
	}
	switch {
	case d.Recovered > 0:
		kind += fmt.Sprintf("; %d of its %s can still be read", min(d.Recovered, d.Held), plural(d.Held, thing))
		if !d.Proven {
			kind += ", but not proven to be as they were written"
		}
	case d.Held > 0 && thing == "event":
		kind += "; it held " + plural(d.Held, thing)
	}
	if d.KeptAs != "" {
		kind += "; a copy is kept at " + s.stores[d.Sink].URI(d.KeptAs)
	}
	return kind
}

func (s *Session) driftList(drift []plan.Drift) string {
	const most = 10
	var lines []string
	for i, d := range drift {
		if i == most {
			lines = append(lines, fmt.Sprintf("  … and %d more", len(drift)-most))
			break
		}
		lines = append(lines, terminal.Line(fmt.Sprintf("  %s: %s", s.stores[d.Sink].URI(d.Key), s.difference(d))))
	}
	return strings.Join(lines, "\n")
}
