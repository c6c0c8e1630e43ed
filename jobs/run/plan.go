package run

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"prospector/jobs"
	"prospector/jobs/erase"
	"prospector/jobs/plan"
	"prospector/jobs/refresh"
	"prospector/jobs/state"
	"prospector/sink/store"
)

// PlanOptions say what a plan is for, and what it is kept to.
type PlanOptions struct {
	Mode plan.Mode // "" is plan.Normal
	// Targets keep the plan to those jobs and partitions; none means all.
	Targets []jobs.Address
	// Replace are jobs and partitions whose files are written anew.
	Replace []jobs.Address
	// Accept are the guards that do not refuse the plan.
	Accept []plan.Guard
	// Prospect is whom plan.Erase is about.
	Prospect string
}

// selection is what addresses select of one job.
type selection struct {
	whole      bool
	partitions map[string]bool
}

func (s selection) any() bool { return s.whole || len(s.partitions) > 0 }

func (s selection) has(partition string) bool { return s.whole || s.partitions[partition] }

func selected(job string, addresses []jobs.Address) selection {
	s := selection{partitions: make(map[string]bool)}
	of, err := jobs.ParseAddress(job)
	if err != nil {
		return s // no command line can name it
	}
	for _, a := range addresses {
		switch {
		case !a.IsPartition():
			s.whole = s.whole || a.Contains(of)
		case a.Job() == of:
			s.partitions[a.Partition] = true
		}
	}
	return s
}

// target is what the plan is kept to of one job.
func (o PlanOptions) target(job string) selection {
	if len(o.Targets) == 0 {
		return selection{whole: true}
	}
	return selected(job, o.Targets)
}

// Plan stages every job and says what would change.
func (s *Session) Plan(ctx context.Context, o PlanOptions) (_ *plan.Plan, err error) {
	defer func() { err = withCause(ctx, err) }()
	if o.Mode == "" {
		o.Mode = plan.Normal
	}
	p := &plan.Plan{
		Mode: o.Mode, Lineage: s.state.Lineage, Serial: s.state.Serial, Config: s.Config.Digest(),
		Created: s.Now().UTC(), Targets: texts(o.Targets), Replace: texts(o.Replace), Accepted: o.Accept, Jobs: []plan.Job{},
	}
	if o.Mode != plan.Erase {
		p.Warnings = erase.WarnInterrupted(s.state)
	}
	warnings, err := s.readTombstones(ctx)
	if err != nil {
		return nil, err
	}
	p.Warnings = append(p.Warnings, warnings...)
	prior, err := s.moved(p)
	if err != nil {
		return nil, err
	}
	renamed := s.renamedSinks(prior)
	if err := s.checkAddresses(prior, slices.Concat(o.Targets, o.Replace)); err != nil {
		return nil, err
	}
	w := &planning{Session: s, options: o, prior: prior, results: make(map[string]jobs.Result)}
	if o.Mode == plan.Erase {
		p.Prospect = o.Prospect
		return p, w.eraseAll(ctx, p)
	}
	if err := w.noRivals(ctx); err != nil {
		return nil, err
	}
	orphans, err := w.orphans()
	if err != nil {
		return nil, err
	}
	for _, job := range s.Config.Jobs {
		if !o.target(job.Address).any() {
			continue
		}
		planned, err := w.job(ctx, job)
		if err != nil {
			return nil, err
		}
		planned.Found.Renamed = renamed[job.Address]
		p.Jobs = append(p.Jobs, planned)
	}
	for _, o := range orphans {
		planned, err := w.destroy(ctx, o.Job, o.why)
		if err != nil {
			return nil, err
		}
		p.Jobs = append(p.Jobs, planned)
	}
	if len(o.Targets) > 0 {
		p.Warnings = append(p.Warnings, jobs.Diagnostic{Severity: jobs.Warning, Summary: "Resource targeting is in effect",
			Detail: "The plan is kept to what -target names, so it may leave the lake in a state that the source never had. Use it to recover from mistakes, and plan without it afterwards."})
	}
	p.Checks = s.checks(w.results)
	s.keepJournals = false
	return p, nil
}

func texts(addresses []jobs.Address) (all []string) {
	for _, a := range addresses {
		all = append(all, a.String())
	}
	return all
}

// planning is one plan being made.
type planning struct {
	*Session
	options PlanOptions
	prior   *state.State // with the moves made
	results map[string]jobs.Result
}

func (w *planning) job(ctx context.Context, job jobs.Job) (plan.Job, error) {
	switch w.options.Mode {
	case plan.Destroy:
		return w.destroy(ctx, job, "")
	case plan.RefreshOnly:
		out := plan.Job{Address: job.Address, TableName: job.TableName, SchemaFingerprint: job.Schema.Fingerprint(), Sinks: addresses(job.Sinks)}
		if err := w.refresh(ctx, &out, job.Sinks); err != nil {
			return out, err
		}
		out.Problems.Warnings = append(out.Problems.Warnings, refresh.Warnings(job.Block, out, w.uri)...)
		return out, nil
	}
	return w.stage(ctx, job)
}

func addresses(sinks []jobs.Sink) []string {
	all := make([]string, len(sinks))
	for i, s := range sinks {
		all[i] = s.Address
	}
	return all
}

// moved gives a copy of the state in which what the configuration has moved or
// removed is so, and notes it in the plan.
func (s *Session) moved(p *plan.Plan) (*state.State, error) {
	out := s.state.Clone()
	for _, m := range s.Config.Moved {
		if out.Jobs[m.From] == nil {
			continue // as it is on every run after the first
		}
		if out.Jobs[m.To] != nil {
			return nil, m.Diagnose("from", "Both addresses of a move are in the state",
				fmt.Sprintf("%s cannot become %s, which has published something already. Remove the moved block, and then either declare %s again or let a removed block forget it.", m.From, m.To, m.From))
		}
		if err := s.samePlace(out.Jobs[m.From], m); err != nil {
			return nil, err
		}
		if err := out.Move(m.From, m.To); err != nil {
			return nil, m.Diagnose("from", "Impossible move", err.Error()+".")
		}
		p.Moved = append(p.Moved, plan.Move{From: m.From, To: m.To})
	}
	for _, address := range out.Addresses() {
		if slices.ContainsFunc(s.Config.Removed, func(r jobs.Removed) bool { return !r.Destroy && r.Covers(address) }) {
			delete(out.Jobs, address)
			p.Forgotten = append(p.Forgotten, address)
		}
	}
	return out, nil
}

// renamedSinks follows sinks that are called otherwise now: the state has a job's
// table under an address that is not declared any more, or at another place, and
// the job has a sink where the table is. Names may also be swapped.
func (s *Session) renamedSinks(prior *state.State) map[string][]plan.Move {
	out := make(map[string][]plan.Move)
	for _, job := range s.Config.Jobs {
		owned := prior.Jobs[job.Address]
		if owned == nil {
			continue
		}
		at := make(map[string]string) // where each declared sink has the table
		for _, sink := range s.Config.Sinks {
			at[sink.Address] = sink.URI(job.TableName)
		}
		var moves []plan.Move
		for _, from := range slices.Sorted(maps.Keys(owned.Sinks)) {
			uri := owned.Sinks[from].URI
			i := slices.IndexFunc(job.Sinks, func(sink jobs.Sink) bool { return at[sink.Address] == uri })
			if i >= 0 && at[from] != uri {
				moves = append(moves, plan.Move{From: from, To: job.Sinks[i].Address})
			}
		}
		sinks := maps.Clone(owned.Sinks)
		for _, m := range moves {
			delete(sinks, m.From)
		}
		for _, m := range moves {
			if sinks[m.To] != nil { // which has something elsewhere, and would be forgotten
				moves = nil
				break
			}
			sinks[m.To] = owned.Sinks[m.From]
		}
		if len(moves) > 0 {
			owned.Sinks = sinks
			out[job.Address] = moves
		}
	}
	return out
}

// samePlace refuses a move by which a table would have to be copied: readers
// know it by its place.
func (s *Session) samePlace(owned *state.Job, m jobs.Moved) error {
	job, ok := s.declared(m.To)
	if !ok || owned.TableName == job.TableName {
		return nil
	}
	return job.Diagnose("table", "The table of a moved job has another name",
		fmt.Sprintf("%s has published the table %q, and %s would publish %q. prospector does not move files, since their readers know them by where they are. Add this to %s, and the table stays where it is:\n\n    table = %q",
			m.From, owned.TableName, m.To, job.TableName, m.To, owned.TableName))
}

// checkAddresses refuses an address of a job that is neither declared nor in the
// state: a slip of the pen would otherwise do nothing, quietly.
func (s *Session) checkAddresses(prior *state.State, named []jobs.Address) error {
	known := make(map[string]bool)
	for _, j := range s.Config.Jobs {
		known[j.Address] = true
	}
	for _, address := range prior.Addresses() {
		known[address] = true
	}
	for _, a := range named {
		found := false
		for address := range known {
			of, err := jobs.ParseAddress(address)
			found = found || err == nil && a.Job().Contains(of)
		}
		if !found {
			return jobs.Diagnostic{Severity: jobs.Error, Summary: "No such job", Address: a.Job().String(),
				Detail: fmt.Sprintf("%s is neither declared nor in the state. There is %s.", a.Job(), strings.Join(slices.Sorted(maps.Keys(known)), ", "))}
		}
	}
	return nil
}

// orphan is what the state has and the configuration does not: a job that is no
// longer declared, or one in sinks that it no longer has.
type orphan struct {
	jobs.Job
	why string
}

func (w *planning) orphans() (all []orphan, err error) {
	if w.options.Mode == plan.RefreshOnly {
		return nil, nil
	}
	for _, address := range w.prior.Addresses() {
		if !w.options.target(address).any() {
			continue
		}
		owned := w.prior.Jobs[address]
		o := orphan{Job: jobs.Job{Block: jobs.Block{Address: address}, TableName: owned.TableName}, why: "it is no longer declared"}
		o.PreventDestroy = owned.PreventDestroy && !slices.ContainsFunc(w.Config.Removed, func(r jobs.Removed) bool { return r.Covers(address) })
		var kept []jobs.Sink
		if declared, ok := w.declared(address); ok {
			o.Block, o.PreventDestroy, o.why = declared.Block, declared.PreventDestroy, "it is no longer among the job's sinks"
			kept = declared.Sinks
		}
		for _, sink := range slices.Sorted(maps.Keys(owned.Sinks)) {
			if slices.ContainsFunc(kept, func(s jobs.Sink) bool { return s.Address == sink }) {
				continue
			}
			i := slices.IndexFunc(w.Config.Sinks, func(s jobs.Sink) bool { return s.Address == sink })
			if i < 0 {
				return nil, undeclaredSink(o.Job, sink, owned.Sinks[sink].URI)
			}
			o.Sinks = append(o.Sinks, w.Config.Sinks[i])
		}
		if len(o.Sinks) > 0 || len(kept) == 0 {
			all = append(all, o)
		}
	}
	return all, nil
}

// declared is the job with that address.
func (s *Session) declared(address string) (jobs.Job, bool) {
	i := slices.IndexFunc(s.Config.Jobs, func(j jobs.Job) bool { return j.Address == address })
	if i < 0 {
		return jobs.Job{}, false
	}
	return s.Config.Jobs[i], true
}

func undeclaredSink(job jobs.Job, sink, uri string) error {
	return job.Diagnose("sinks", "The sink of published files is not declared",
		fmt.Sprintf("%s has files at %s, which should be deleted since neither the job nor %s asks for them any more. Declare %s again, so that they can be; or keep them, and let the state forget what is there:\n\n    prospector state rm %[3]s",
			job.Address, uri, sink, sink))
}

// noRivals refuses a job whose table is where another one has published: it was
// renamed, more likely than not, and nobody has said so.
func (w *planning) noRivals(ctx context.Context) error {
	for _, job := range w.Config.Jobs {
		for _, sink := range job.Sinks {
			opened, err := w.open(ctx, sink)
			if err != nil {
				return err
			}
			uri := opened.URI(job.TableName)
			for _, address := range w.prior.Addresses() {
				for _, of := range slices.Sorted(maps.Keys(w.prior.Jobs[address].Sinks)) {
					owned := w.prior.Jobs[address].Sinks[of]
					if owned.URI != uri || address == job.Address && of == sink.Address || owned.Vacant() {
						continue
					}
					return rival(job, sink, uri, address, of)
				}
			}
		}
	}
	return nil
}

func rival(job jobs.Job, sink jobs.Sink, uri, address, of string) error {
	remedy := fmt.Sprintf("If %s is what that job is called now, say so:\n\n    moved {\n      from = %s\n      to   = %[1]s\n    }\n\nOtherwise give it another table, or another sink.", job.Address, address)
	if address == job.Address {
		remedy = fmt.Sprintf("Undo what was renamed; or let the state forget the old name, after which the files are in the way until they are moved or deleted:\n\n    prospector state rm %s", of)
	}
	return job.Diagnose("sinks", "Another table is there already",
		fmt.Sprintf("%s in %s would be at %s, where the state has the table of %s in %s. %s", job.Address, sink.Address, uri, address, of, remedy))
}

// destroy plans the deletion of what a job owns in its sinks. why is "" when the
// user asked for it.
func (w *planning) destroy(ctx context.Context, job jobs.Job, why string) (plan.Job, error) {
	out := plan.Job{Address: job.Address, TableName: job.TableName, Destroy: true, DestroyReason: why, Sinks: addresses(job.Sinks)}
	if err := w.refresh(ctx, &out, job.Sinks); err != nil {
		return out, err
	}
	if len(out.Found.AbandonedURIs) > 0 {
		return out, job.Diagnose("sinks", "The table is at another place",
			fmt.Sprintf("%s has published at %s, and its sinks or the name of its table are others now, so that these files cannot be deleted. Undo the change; or keep the files, and let the state forget them:\n\n    prospector state rm %[1]s",
				job.Address, strings.Join(out.Found.AbandonedURIs, " and ")))
	}
	target := w.options.target(job.Address)
	out.Destroy = target.whole
	paths := slices.DeleteFunc(plan.Partitions(out.Found.Prior), func(path string) bool { return !target.has(path) })
	out.Output.Changes = plan.Destruction(job.TableName, out.Sinks, out.Found.Prior, paths)
	if target.whole {
		out.Output.Quarantine = plan.DestroyQuarantine(job.TableName, out.Sinks, out.Found.Prior)
		out.Output.Obsolete = out.DeleteObsolete()
	}
	if job.PreventDestroy && !out.Summary().Empty() {
		remedy := "Either disable lifecycle.prevent_destroy, or keep the plan to other jobs with -target."
		if job.Origin.Filename == "" { // there is no block to disable it in
			remedy = fmt.Sprintf("Either declare it again, or say what is to become of it:\n\n    removed {\n      from = %s\n      lifecycle { destroy = true } # false forgets the job, and its files stay\n    }", job.Address)
		}
		if why == "" {
			why = "this plan is to destroy it"
		}
		return out, job.Diagnose("prevent_destroy", "The table must not be destroyed",
			fmt.Sprintf("%s has lifecycle.prevent_destroy set, but its files in %s would be deleted, since %s. %s",
				job.Address, strings.Join(out.Sinks, " and "), why, remedy))
	}
	out.Problems.Warnings = append(out.Problems.Warnings, refresh.Warnings(job.Block, out, w.uri)...)
	return out, nil
}

// checks holds the declared checks against what was staged. A check of a job
// that was not read is left out.
func (s *Session) checks(results map[string]jobs.Result) (out []plan.Check) {
	for _, c := range s.Config.Checks {
		result, ok := results[c.Job]
		if !ok {
			continue
		}
		check := plan.Check{Address: c.Address, Job: c.Job, Severity: c.Severity, Passed: true}
		for _, a := range c.Assertions {
			holds, message, problems := a.Evaluate(result)
			if holds && !problems.HasErrors() {
				continue
			}
			check.Passed = false
			if !problems.HasErrors() {
				origin := a.Origin
				problems = append(problems, jobs.Diagnostic{Summary: "Check failed", Detail: message, Address: c.Address, Origin: &origin})
			}
			for _, d := range problems {
				d.Severity = c.Severity
				check.Problems = append(check.Problems, d)
			}
		}
		out = append(out, check)
	}
	return out
}

// refresh compares the state with the sinks of a planned job.
func (w *planning) refresh(ctx context.Context, into *plan.Job, sinks []jobs.Sink) error {
	return refresh.Into(ctx, w.open, w.prior, w.options.Mode, into, sinks)
}

// uri is the URI of an object in an open sink.
func (s *Session) uri(sink, key string) string { return s.stores[sink].URI(key) }

// openByAddress opens a sink of the configuration, or returns its store if it is
// open.
func (s *Session) openByAddress(ctx context.Context, address string) (store.Store, error) {
	if opened, ok := s.stores[address]; ok {
		return opened, nil
	}
	i := slices.IndexFunc(s.Config.Sinks, func(sink jobs.Sink) bool { return sink.Address == address })
	if i < 0 {
		return nil, jobs.Diagnostic{Severity: jobs.Error, Summary: "The sink of published files is not declared", Address: address,
			Detail: fmt.Sprintf("The state has files in %s, and the configuration does not say where that is. Declare it again; or let the state forget what is there:\n\n    prospector state rm %[1]s", address)}
	}
	return s.open(ctx, s.Config.Sinks[i])
}

// open gives the store of a sink, opening it the first time.
func (s *Session) open(ctx context.Context, sink jobs.Sink) (store.Store, error) {
	if opened, ok := s.stores[sink.Address]; ok {
		return opened, nil
	}
	opened, err := s.OpenSink(ctx, sink)
	if err != nil {
		return nil, refresh.Unusable(sink, "Sink cannot be opened", err)
	}
	s.stores[sink.Address] = opened
	return opened, nil
}
