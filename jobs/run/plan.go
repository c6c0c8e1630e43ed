package run

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"prospector/jobs"
	"prospector/jobs/erase"
	"prospector/jobs/lists"
	"prospector/jobs/plan"
	"prospector/jobs/reconcile"
	"prospector/jobs/refresh"
	"prospector/jobs/state"
)

// PlanOptions select what a plan does, and to which jobs and partitions.
type PlanOptions struct {
	Mode plan.Mode // "" is plan.Normal
	// Targets are the jobs and partitions to which the plan is limited. None means
	// all.
	Targets []jobs.Address
	// Replace are the jobs and partitions whose files are rewritten even if their rows
	// stay the same.
	Replace []jobs.Address
	// Accept are the guards that must not refuse the plan.
	Accept []plan.Guard
	// Prospect is the ID of the prospect that a plan.Erase removes.
	Prospect string
}

// target selects the partitions of a job to which the plan is limited.
func (o PlanOptions) target(job string) reconcile.Selection {
	if len(o.Targets) == 0 {
		return reconcile.Selection{All: true}
	}
	return selectPartitions(job, o.Targets)
}

// selectPartitions returns the partitions of one job that the addresses select.
func selectPartitions(job string, addresses []jobs.Address) reconcile.Selection {
	s := reconcile.Selection{Partitions: make(map[string]bool)}
	of, err := jobs.ParseAddress(job)
	if err != nil {
		return s // no command line can name it
	}
	for _, a := range addresses {
		switch {
		case !a.IsPartition():
			s.All = s.All || a.Contains(of)
		case a.Job() == of:
			s.Partitions[a.Partition] = true
		}
	}
	return s
}

// Plan stages every job, and returns what would change. It does not change a sink.
func (s *Session) Plan(ctx context.Context, o PlanOptions) (_ *plan.Plan, err error) {
	defer func() { err = withCause(ctx, err) }()
	if o.Mode == "" {
		o.Mode = plan.Normal
	}
	config := s.options.Config
	p := &plan.Plan{
		Mode: o.Mode, Lineage: s.state.Lineage, Serial: s.state.Serial, Config: config.Digest(),
		Created: s.options.Now().UTC(), Targets: texts(o.Targets), Replace: texts(o.Replace), Accepted: o.Accept, Jobs: []plan.Job{},
	}
	if o.Mode != plan.Erase {
		p.Warnings = erase.WarnInterrupted(s.state)
	}
	warnings, err := s.readTombstones(ctx)
	if err != nil {
		return nil, err
	}
	p.Warnings = append(p.Warnings, warnings...)
	relocated, err := plan.Relocate(s.state, config)
	if err != nil {
		return nil, err
	}
	p.Moved, p.Forgotten = relocated.Moved, relocated.Forgotten
	if err := plan.CheckAddresses(relocated.State, config, slices.Concat(o.Targets, o.Replace)); err != nil {
		return nil, err
	}
	planner := s.planner(o, relocated.State)
	if o.Mode == plan.Erase {
		p.Prospect = o.Prospect
		if err := planner.planErase(ctx, p); err != nil {
			return p, err
		}
		p.Warnings = append(p.Warnings, s.warnRetained(ctx)...)
		return p, nil
	}
	if err := planner.planAll(ctx, p, relocated.Renamed); err != nil {
		return nil, err
	}
	if len(o.Targets) > 0 {
		p.Warnings = append(p.Warnings, jobs.Diagnostic{Severity: jobs.Warning, Summary: "Resource targeting is in effect",
			Detail: "The plan is limited to its targets, so the lake may get a state that the source never had. The -target option is not for routine use: use it to recover from mistakes, and plan without it afterwards."})
	}
	p.Checks = plan.Checks(config.Checks, planner.results)
	s.workspace.keepJournals = false
	return p, nil
}

func texts(addresses []jobs.Address) (all []string) {
	for _, a := range addresses {
		all = append(all, a.String())
	}
	return all
}

// planner makes a plan.
type planner struct {
	options   PlanOptions
	config    *jobs.Configuration
	prior     *state.State // after the moves in the configuration
	sinks     *sinks
	workspace *workspace
	sources   sources
	lists     lists.Lists
	files     *reconcile.FileBuilder
	memory    reconcile.Memory
	observer  Observer
	now       func() time.Time
	// results are the inputs of the configuration's checks, by job address.
	results map[string]jobs.Result
}

func (s *Session) planner(o PlanOptions, prior *state.State) *planner {
	return &planner{
		options: o, config: s.options.Config, prior: prior, sinks: s.sinks, workspace: s.workspace,
		sources: s.sources(),
		lists:   s.lists(), files: s.files, memory: s.memory(), observer: s.options.Observer, now: s.options.Now,
		results: make(map[string]jobs.Result),
	}
}

// planAll plans every declared job that the options select, and the deletion of
// tables whose jobs or sinks are no longer declared. renamed has the sinks with a new
// address, by job.
func (p *planner) planAll(ctx context.Context, into *plan.Plan, renamed map[string][]plan.Move) error {
	if err := plan.CheckRivals(p.prior, p.config, p.sinks.uri); err != nil {
		return err
	}
	isTarget := func(job string) bool { return !p.options.target(job).Empty() }
	var orphans []plan.Orphan
	if p.options.Mode != plan.RefreshOnly {
		var err error
		if orphans, err = plan.Orphans(p.prior, p.config, isTarget); err != nil {
			return err
		}
	}
	for _, job := range p.config.Jobs {
		if !isTarget(job.Address) {
			continue
		}
		planned, err := p.planJob(ctx, job)
		if err != nil {
			return err
		}
		planned.Found.Renamed = renamed[job.Address]
		into.Jobs = append(into.Jobs, planned)
	}
	for _, orphan := range orphans {
		planned, err := p.destroy(ctx, orphan.Job, orphan.Reason)
		if err != nil {
			return err
		}
		into.Jobs = append(into.Jobs, planned)
	}
	return nil
}

func (p *planner) planJob(ctx context.Context, job jobs.Job) (plan.Job, error) {
	switch p.options.Mode {
	case plan.Destroy:
		return p.destroy(ctx, job, "")
	case plan.RefreshOnly:
		out := plan.Job{Address: job.Address, TableName: job.TableName, SchemaFingerprint: job.Schema.Fingerprint(), Sinks: addresses(job.Sinks)}
		if err := p.refresh(ctx, &out, job.Sinks); err != nil {
			return out, err
		}
		out.Problems.Warnings = append(out.Problems.Warnings, refresh.Warnings(job.Block, out, p.sinks.uri)...)
		return out, nil
	}
	return p.stage(ctx, job)
}

func addresses(sinks []jobs.Sink) []string {
	all := make([]string, len(sinks))
	for i, s := range sinks {
		all[i] = s.Address
	}
	return all
}

// refresh compares the state with the sinks of a planned job.
func (p *planner) refresh(ctx context.Context, into *plan.Job, of []jobs.Sink) error {
	return refresh.Into(ctx, p.sinks.open, p.prior, p.options.Mode, into, of)
}

// ownedBy returns a job's entry in the state, which is empty for a new job.
func (p *planner) ownedBy(address string) *state.Job {
	if owned := p.prior.Jobs[address]; owned != nil {
		return owned
	}
	return new(state.Job)
}

// destroy plans the deletion of everything that a job owns in its sinks. reason is ""
// if the user requested the deletion.
func (p *planner) destroy(ctx context.Context, job jobs.Job, reason string) (plan.Job, error) {
	out := plan.Job{Address: job.Address, TableName: job.TableName, Destroy: true, DestroyReason: reason, Sinks: addresses(job.Sinks)}
	if err := p.refresh(ctx, &out, job.Sinks); err != nil {
		return out, err
	}
	if len(out.Found.AbandonedURIs) > 0 {
		return out, job.Diagnose("sinks", "The location of the table has changed",
			fmt.Sprintf("%s has published files at %s, but its sinks or the name of its table have changed since, so these files cannot be deleted. Undo the change, or keep the files and remove them from the state:\n\n    prospector state rm %[1]s",
				job.Address, strings.Join(out.Found.AbandonedURIs, " and ")))
	}
	target := p.options.target(job.Address)
	out.Destroy = target.All
	paths := slices.DeleteFunc(plan.Partitions(out.Found.Prior), func(path string) bool { return !target.Has(path) })
	out.Output.Changes = plan.Destruction(job.TableName, out.Sinks, out.Found.Prior, paths)
	if target.All {
		out.Output.Quarantine = plan.DestroyQuarantine(job.TableName, out.Sinks, out.Found.Prior)
		out.Output.Obsolete = out.DeleteObsolete()
	}
	if job.PreventDestroy && !out.Summary().Empty() {
		return out, preventDestroy(job, out.Sinks, reason)
	}
	out.Problems.Warnings = append(out.Problems.Warnings, refresh.Warnings(job.Block, out, p.sinks.uri)...)
	return out, nil
}

// preventDestroy returns the error for a plan that would destroy a protected table.
func preventDestroy(job jobs.Job, sinks []string, reason string) error {
	remedy := "Either disable lifecycle.prevent_destroy, or reduce the scope of the plan with -target."
	if job.Origin.Filename == "" { // there is no block to disable it in
		remedy = fmt.Sprintf("Either declare the job again, or add a removed block for it:\n\n    removed {\n      from = %s\n      lifecycle { destroy = true } # false keeps the files and removes the job from the state\n    }", job.Address)
	}
	if reason == "" {
		reason = "this plan destroys it"
	}
	return job.Diagnose("prevent_destroy", "The table cannot be destroyed",
		fmt.Sprintf("%s has lifecycle.prevent_destroy set, but its files in %s would be deleted, because %s. %s",
			job.Address, strings.Join(sinks, " and "), reason, remedy))
}
