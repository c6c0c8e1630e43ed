// Package plan says what a run would change in the lake, and why: from what a
// job declares, what the state remembers, what is staged and what the sinks were
// seen to hold. It is pure: it reads and writes nothing.
package plan

import (
	"fmt"
	"slices"
	"time"

	"prospector/jobs"
	"prospector/jobs/state"
	"prospector/schemas"
)

// Plan is what a run would change.
type Plan struct {
	Mode Mode
	// Lineage and Serial are those of the state that the plan is made from.
	Lineage string
	Serial  int64
	// Config is the digest of the configuration.
	Config  string
	Created time.Time
	// Targets and Replace are the addresses that the user named.
	Targets []string
	Replace []string
	// Accepted are the guards that the user accepted.
	Accepted []Guard
	// Moved are the jobs of the state that get another address, in this order.
	Moved []Move
	// Forgotten are the jobs that the state forgets. Their published files stay.
	Forgotten []string
	Jobs      []Job
	Checks    []Check
	Warnings  jobs.Diagnostics
	// Prospect is the ID that an Erase removes. It is never saved.
	Prospect string
}

// Mode is what a plan is for.
type Mode string

// The modes.
const (
	Normal      Mode = "normal"
	Destroy     Mode = "destroy"
	RefreshOnly Mode = "refresh-only"
	Erase       Mode = "erase" // of one prospect's rows, wherever they are
)

// Move gives a job or a sink of the state another address.
type Move struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// Job is the part of a plan that concerns one job of the configuration or of the
// state.
type Job struct {
	Address   string
	TableName string
	// SchemaFingerprint identifies the schema that the table has after the plan.
	SchemaFingerprint string
	// Schema is that schema, or nil when the plan publishes nothing.
	Schema *schemas.Table
	// PreventDestroy is the value that the job declares.
	PreventDestroy bool
	// Destroy deletes the table from the Sinks. DestroyReason is "" when the user
	// asked for it.
	Destroy       bool
	DestroyReason string
	// Sinks are the addresses of the sinks concerned, in the order of the job.
	Sinks []string

	Found    Found
	Source   Source
	Output   Output
	Problems Problems
}

// Found is what a refresh found in the sinks, compared with the state.
type Found struct {
	// Prior is what each sink holds, by the sink's address.
	Prior map[string]*Refreshed
	Drift []Drift
	// Renamed are the sinks of the state that have another address now, but are at
	// the same place.
	Renamed []Move
	// AbandonedURIs are the places where the job published before its sink or the
	// name of its table changed. The state forgets them.
	AbandonedURIs []string
}

// Source is what a job's source returned, and what became of it.
type Source struct {
	Reading Reading
	Books   Books
	Missing Missing
	// Waiting are the prospects whose published rows wait for another empty read.
	// It is nil when the state keeps the list that it has.
	Waiting *Waiting
	// Survey describes what the events had beyond what the schema expects. It is
	// nil when nothing was read.
	Survey *schemas.Survey
}

// Output is what the plan changes in the sinks.
type Output struct {
	// Changes are ascending by partition. A partition that was examined and stays
	// as it is has a change with the action NoOp.
	Changes []Change
	// Quarantine is nil when the quarantine stays as it is.
	Quarantine *Quarantine
	// Rewrite is set when published files have another schema. Their rows are
	// rewritten.
	Rewrite *Rewrite
	// Obsolete deletes the files that an interrupted apply left.
	Obsolete []Write
	// Foreign deletes the objects that prospector does not own.
	Foreign []Write
	// Copies keep the damaged objects that the plan replaces or deletes. Apply
	// makes them first.
	Copies []Copy
}

// Problems are what prevents parts of a job's plan, or the user should know.
type Problems struct {
	// Refused is why the job must not be applied.
	Refused jobs.Diagnostics
	// Rejected are partitions that stay as they are: the second reader rejected
	// their staged files, or those of a partition that they change together with.
	Rejected []Rejected
	Warnings jobs.Diagnostics
}

// Rejected is a partition that cannot be published, and why.
type Rejected struct {
	Partition string          `json:"partition"` // its path
	Problem   jobs.Diagnostic `json:"problem"`
}

// Rewrite is a change of a table's schema.
type Rewrite struct {
	SchemaFingerprint string `json:"schema"` // the fingerprint before
	// Before and After are the partition keys. Where they differ, every file has
	// another place, and the old ones are deleted once the new ones are there.
	Before []string `json:"partition_by_before"`
	After  []string `json:"partition_by_after"`
	// Columns are the changes of columns.
	Columns []schemas.Change `json:"columns,omitempty"`
	Files   int64            `json:"files"` // that are read
	Rows    int64            `json:"rows"`  // that are written anew
}

// Repartitions reports whether the partition keys change.
func (r *Rewrite) Repartitions() bool { return !slices.Equal(r.Before, r.After) }

// Reading is how a job's source was read, and what that has cost.
type Reading struct {
	Coverage
	Requests int64   `json:"requests"`
	Bytes    int64   `json:"bytes"` // of pages
	Seconds  float64 `json:"seconds"`
	// Rate is the source's limit in requests a second, 0 for none.
	Rate float64 `json:"rate,omitempty"`
	// Exceptions are the first prospects that were not read whole.
	Exceptions []Exception `json:"exceptions,omitempty"`
	// List is the list of prospects; nil when nothing was read.
	List *List `json:"list,omitempty"`
}

// Exception is a prospect that was not read whole.
type Exception struct {
	Prospect string `json:"prospect"`
	Outcome  string `json:"outcome"` // partial, not_found, forbidden or failed
	Reason   string `json:"reason"`
}

// List is a list of prospects, and how it differs from the one before.
type List struct {
	Count  int64  `json:"count"`
	Digest string `json:"digest"`
	// Added and Removed count the ids that the last apply did not, or no
	// longer, have in its list; Known is false when there was none.
	Known   bool  `json:"known"`
	Added   int64 `json:"added"`
	Removed int64 `json:"removed"`
	// AddedIDs and RemovedIDs are the first of them.
	AddedIDs   []string `json:"added_ids,omitempty"`
	RemovedIDs []string `json:"removed_ids,omitempty"`
	// Staged is the list as a file; nil when it is the one before.
	Staged *Staged `json:"staged,omitempty"`
}

// namedIDs is how many ids of a changed list a plan names.
const namedIDs = 20

// Compare fills in how the list differs from the one before; both are sorted.
func (l *List) Compare(before, after []string) {
	l.Known = true
	differ := func(count *int64, named *[]string, id string) {
		if *count++; *count <= namedIDs {
			*named = append(*named, id)
		}
	}
	for len(before)+len(after) > 0 {
		switch {
		case len(before) == 0 || len(after) > 0 && after[0] < before[0]:
			differ(&l.Added, &l.AddedIDs, after[0])
			after = after[1:]
		case len(after) == 0 || before[0] < after[0]:
			differ(&l.Removed, &l.RemovedIDs, before[0])
			before = before[1:]
		default:
			before, after = before[1:], after[1:]
		}
	}
}

// Check is what became of a declared check.
type Check struct {
	Address  string        `json:"address"`
	Job      string        `json:"job"`
	Severity jobs.Severity `json:"severity"` // of a failure
	Passed   bool          `json:"passed"`
	// Problems are the assertions that did not hold.
	Problems jobs.Diagnostics `json:"problems,omitempty"`
}

// Copy keeps a damaged object under another key of its sink.
type Copy struct {
	Sink string `json:"sink"`
	Key  string `json:"key"`
	To   string `json:"to"`
	Sum  Sum    `json:"sum"` // of the bytes that are copied
}

// Action is what happens to a partition.
type Action string

// The actions, as Terraform names them.
const (
	Create  Action = "create"
	Update  Action = "update"
	Replace Action = "replace" // written anew because the user said so
	Delete  Action = "delete"
	NoOp    Action = "no-op"
)

// Change is what happens to one partition.
type Change struct {
	// Partition is its path: event_type=…/event_date=….
	Partition string `json:"partition"`
	Action    Action `json:"action"`
	Rows      Rows   `json:"rows"`
	// SourceSubset describes the rows that the source returned, if not all.
	SourceSubset *state.SourceSubset `json:"given,omitempty"`
	// Before and After are its size in bytes in the first sink.
	Before int64 `json:"bytes_before"`
	After  int64 `json:"bytes_after"`
	// Staged are the files that the partition is to have, in their order; none
	// for Delete and NoOp.
	Staged []*Staged `json:"staged,omitempty"`
	// Writes are what happens in the sinks concerned, in the order of the job:
	// in each, the deletions come last. A staged file that a sink is not written
	// is there already.
	Writes []Write `json:"writes,omitempty"`
	// Step is when it is made: after all changes of a lower one. A partition
	// that rows leave comes after those that they have come to.
	Step int `json:"step,omitempty"`
}

// Rows count what happens to a partition's rows.
type Rows struct {
	Before    int64 `json:"before"`
	After     int64 `json:"after"`
	Added     int64 `json:"added"`
	Changed   int64 `json:"changed"`
	Unchanged int64 `json:"unchanged"`
	Removed   int64 `json:"removed"`
}

// Staged is a file that waits to be published.
type Staged struct {
	Path string `json:"path"` // on this machine, or in the file of the plan
	// SchemaFingerprint identifies the schema of a partition's file. It is "" for
	// any other file.
	SchemaFingerprint string         `json:"schema,omitempty"`
	Rows              int64          `json:"rows"`
	Content           schemas.Digest `json:"content"`
	Size              int64          `json:"size"`
	CRC32C            uint32         `json:"crc32c"`
	// Days is the range of its rows' identity days; nil for what is no
	// partition.
	Days *state.Days `json:"days,omitempty"`
}

// Write is what happens to an object in one sink.
type Write struct {
	Sink   string `json:"sink"`   // its address
	Action Action `json:"action"` // Create, Update or Delete
	Key    string `json:"key"`
	// File is the index of what is written, among the files that the change has
	// staged.
	File int `json:"file,omitempty"`
	// Generation is that of the object to be replaced or deleted, "" for none.
	Generation string `json:"generation,omitempty"`
}

// Quarantine is a change of a job's quarantined events.
type Quarantine struct {
	Before int64   `json:"before"` // events
	After  int64   `json:"after"`
	Staged *Staged `json:"staged,omitempty"`
	Writes []Write `json:"writes,omitempty"`
}

// Action says what happens to the quarantine, in the words of partitions.
func (q *Quarantine) Action() Action {
	switch {
	case q.After == 0:
		return Delete
	case q.Before == 0:
		return Create
	}
	return Update
}

// Coverage says how far the prospects were read.
type Coverage struct {
	Prospects int64 `json:"prospects"` // asked for
	Complete  int64 `json:"complete"`
	Partial   int64 `json:"partial"` // some pages, then an error
	NotFound  int64 `json:"not_found"`
	Forbidden int64 `json:"forbidden"`
	Failed    int64 `json:"failed"` // no page
}

// Incomplete counts the prospects that were not read whole.
func (c Coverage) Incomplete() int64 { return c.Partial + c.NotFound + c.Forbidden + c.Failed }

// Books say what became of every event that was read. They must balance.
type Books struct {
	Events      int64 `json:"events"`
	Added       int64 `json:"added"`
	Changed     int64 `json:"changed"`
	Unchanged   int64 `json:"unchanged"`
	Duplicates  int64 `json:"duplicates"`
	Quarantined int64 `json:"quarantined"`
	// Rejected are those of partitions that cannot be published.
	Rejected int64 `json:"rejected,omitempty"`
}

// Check gives an error when the books do not balance; then nothing may be
// published.
func (b Books) Check() error {
	if sum := b.Added + b.Changed + b.Unchanged + b.Duplicates + b.Quarantined + b.Rejected; sum != b.Events {
		return fmt.Errorf("the books do not balance: %d events were read, but %d added + %d changed + %d unchanged + %d duplicates + %d quarantined + %d rejected = %d; nothing was published, and this is a bug of prospector",
			b.Events, b.Added, b.Changed, b.Unchanged, b.Duplicates, b.Quarantined, b.Rejected, sum)
	}
	return nil
}

// Missing counts the published rows that the source did not return.
type Missing struct {
	Kept int64 `json:"kept"`
	// Waiting are those of the Kept rows whose prospects returned no event at all.
	// They are deleted once a later read is empty, too.
	Waiting int64 `json:"waiting,omitempty"`
	Deleted int64 `json:"deleted"` // their prospects were read completely
}

// Waiting is the list of prospects that returned no event to a complete read, and
// have published rows.
type Waiting struct {
	Count  int64  `json:"count"`
	Digest string `json:"digest"`
	// After is the earliest time at which another empty read deletes rows.
	After time.Time `json:"after"`
	// Staged is the list as a file; nil when the state has it, or Count is 0.
	Staged *Staged `json:"staged,omitempty"`
}

// Summary counts a plan's changes.
type Summary struct {
	Add     int `json:"add"`
	Change  int `json:"change"`
	Destroy int `json:"destroy"`
}

// Empty reports whether there is nothing to do.
func (s Summary) Empty() bool { return s == Summary{} }

// Summary counts the partitions that are created, updated and deleted, and the
// foreign objects that are deleted. A changed quarantine counts as one more, and
// what is replaced as one destroyed and one added.
func (p *Plan) Summary() (s Summary) {
	for _, j := range p.Jobs {
		of := j.Summary()
		s.Add, s.Change, s.Destroy = s.Add+of.Add, s.Change+of.Change, s.Destroy+of.Destroy
	}
	return s
}

// Summary is that of one job.
func (j *Job) Summary() (s Summary) {
	for _, c := range j.Output.Changes {
		s.Count(c.Action)
	}
	if j.Output.Quarantine != nil {
		s.Count(j.Output.Quarantine.Action())
	}
	s.Destroy += len(j.Output.Foreign) + len(j.Output.Obsolete)
	return s
}

// Count adds one change.
func (s *Summary) Count(a Action) {
	switch a {
	case Create:
		s.Add++
	case Update:
		s.Change++
	case Replace:
		s.Add++
		s.Destroy++
	case Delete:
		s.Destroy++
	}
}

// At is an object in a sink.
type At struct{ Sink, Key string }

// Writes are the objects that the job's plan writes or deletes.
func (j *Job) Writes() map[At]bool {
	all := make(map[At]bool)
	add := func(writes []Write) {
		for _, w := range writes {
			all[At{w.Sink, w.Key}] = true
		}
	}
	for _, c := range j.Output.Changes {
		add(c.Writes)
	}
	if j.Output.Quarantine != nil {
		add(j.Output.Quarantine.Writes)
	}
	add(j.Output.Obsolete)
	add(j.Output.Foreign)
	return all
}

// Empty reports whether there is nothing that a user would want to hear of:
// nothing in a sink changes, and nothing in the state but what it had missed.
func (p *Plan) Empty() bool {
	drifted := p.Mode == RefreshOnly && slices.ContainsFunc(p.Jobs, func(j Job) bool {
		return slices.ContainsFunc(j.Found.Drift, func(d Drift) bool { return d.Kind == Deleted })
	})
	elsewhere := slices.ContainsFunc(p.Jobs, func(j Job) bool { return len(j.Found.AbandonedURIs)+len(j.Found.Renamed) > 0 })
	return p.Summary().Empty() && len(p.Moved)+len(p.Forgotten) == 0 && !drifted && !elsewhere
}

// Blocked is why the plan must not be applied: jobs that are refused, and failed
// checks that forbid it.
func (p *Plan) Blocked() (errs jobs.Diagnostics) {
	for _, j := range p.Jobs {
		errs = append(errs, j.Problems.Refused...)
	}
	for _, c := range p.Checks {
		if !c.Passed && c.Severity == jobs.Error {
			errs = append(errs, c.Problems...)
		}
	}
	return errs
}

// Rejected is why partitions are not published though the plan is applied. Of many
// in a job, the first are listed.
func (p *Plan) Rejected() (errs jobs.Diagnostics) {
	const most = 10
	for _, j := range p.Jobs {
		for _, r := range j.Problems.Rejected[:min(most, len(j.Problems.Rejected))] {
			errs = append(errs, r.Problem)
		}
		if more := len(j.Problems.Rejected) - most; more > 0 {
			errs = append(errs, jobs.Diagnostic{Severity: jobs.Error, Address: j.Address,
				Summary: fmt.Sprintf("%d more partitions are not published", more),
				Detail:  "The second reader rejects their staged files as well, or those of partitions that they change together with."})
		}
	}
	return errs
}
