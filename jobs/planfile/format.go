package planfile

import (
	"time"

	"prospector/jobs"
	"prospector/jobs/plan"
	"prospector/schemas"
)

// FileVersion is the version of the format of saved plans. A plan can only be
// applied by the version of prospector that saved it, so other versions of the
// format are not supported.
const FileVersion = 2

// fileV2 is the JSON in a saved plan. planV2 and jobV2 are its objects, and
// their fields are values of package plan. Fields are in the order of the file.
type fileV2 struct {
	Version    int     `json:"version"`
	Prospector string  `json:"prospector_version"`
	Plan       *planV2 `json:"plan"`
}

type planV2 struct {
	Mode      plan.Mode        `json:"mode"`
	Lineage   string           `json:"lineage"`
	Serial    int64            `json:"serial"`
	Config    string           `json:"config"`
	Created   time.Time        `json:"created"`
	Targets   []string         `json:"targets,omitempty"`
	Replace   []string         `json:"replace,omitempty"`
	Accepted  []plan.Guard     `json:"accepted,omitempty"`
	Moved     []plan.Move      `json:"moved,omitempty"`
	Forgotten []string         `json:"forgotten,omitempty"`
	Jobs      []jobV2          `json:"jobs"`
	Checks    []plan.Check     `json:"checks,omitempty"`
	Warnings  jobs.Diagnostics `json:"warnings,omitempty"`
}

type jobV2 struct {
	Address           string                     `json:"address"`
	TableName         string                     `json:"table"`
	SchemaFingerprint string                     `json:"schema"`
	Declared          *schemas.Table             `json:"declared,omitempty"`
	Rewrite           *plan.Rewrite              `json:"rewrite,omitempty"`
	Refused           jobs.Diagnostics           `json:"refused,omitempty"`
	Rejected          []plan.Rejected            `json:"rejected,omitempty"`
	Destroy           bool                       `json:"destroy,omitempty"`
	DestroyReason     string                     `json:"why,omitempty"`
	PreventDestroy    bool                       `json:"prevent_destroy,omitempty"`
	Sinks             []string                   `json:"sinks"`
	Prior             map[string]*plan.Refreshed `json:"prior"`
	Changes           []plan.Change              `json:"changes"`
	Quarantine        *plan.Quarantine           `json:"quarantine,omitempty"`
	Renamed           []plan.Move                `json:"renamed,omitempty"`
	AbandonedURIs     []string                   `json:"left,omitempty"`
	Obsolete          []plan.Write               `json:"obsolete,omitempty"`
	Copies            []plan.Copy                `json:"aside,omitempty"`
	Foreign           []plan.Write               `json:"foreign,omitempty"`
	Drift             []plan.Drift               `json:"drift,omitempty"`
	Reading           plan.Reading               `json:"reading"`
	Books             plan.Books                 `json:"books"`
	Missing           plan.Missing               `json:"missing"`
	Waiting           *plan.Waiting              `json:"waiting,omitempty"`
	Survey            *schemas.Survey            `json:"survey,omitempty"`
	Warnings          jobs.Diagnostics           `json:"warnings,omitempty"`
}

// newFileV2 returns the file of a plan. The file and the plan share memory.
func newFileV2(p *plan.Plan) fileV2 {
	out := &planV2{
		Mode: p.Mode, Lineage: p.Lineage, Serial: p.Serial, Config: p.Config, Created: p.Created,
		Targets: p.Targets, Replace: p.Replace, Accepted: p.Accepted, Moved: p.Moved, Forgotten: p.Forgotten,
		Checks: p.Checks, Warnings: p.Warnings,
	}
	for _, j := range p.Jobs {
		out.Jobs = append(out.Jobs, newJobV2(j))
	}
	if out.Jobs == nil && p.Jobs != nil {
		out.Jobs = []jobV2{}
	}
	return fileV2{Version: FileVersion, Prospector: jobs.Version, Plan: out}
}

func newJobV2(j plan.Job) jobV2 {
	return jobV2{
		Address: j.Address, TableName: j.TableName, SchemaFingerprint: j.SchemaFingerprint, Declared: j.Schema,
		Destroy: j.Destroy, DestroyReason: j.DestroyReason, PreventDestroy: j.PreventDestroy, Sinks: j.Sinks,
		Prior: j.Found.Prior, Drift: j.Found.Drift, Renamed: j.Found.Renamed, AbandonedURIs: j.Found.AbandonedURIs,
		Reading: j.Source.Reading, Books: j.Source.Books, Missing: j.Source.Missing, Waiting: j.Source.Waiting, Survey: j.Source.Survey,
		Changes: j.Output.Changes, Quarantine: j.Output.Quarantine, Rewrite: j.Output.Rewrite,
		Obsolete: j.Output.Obsolete, Foreign: j.Output.Foreign, Copies: j.Output.Copies,
		Refused: j.Problems.Refused, Rejected: j.Problems.Rejected, Warnings: j.Problems.Warnings,
	}
}

// plan returns the plan of a file. The plan and the file share memory.
func (f *planV2) plan() *plan.Plan {
	out := &plan.Plan{
		Mode: f.Mode, Lineage: f.Lineage, Serial: f.Serial, Config: f.Config, Created: f.Created,
		Targets: f.Targets, Replace: f.Replace, Accepted: f.Accepted, Moved: f.Moved, Forgotten: f.Forgotten,
		Checks: f.Checks, Warnings: f.Warnings,
	}
	for _, j := range f.Jobs {
		out.Jobs = append(out.Jobs, j.job())
	}
	if out.Jobs == nil && f.Jobs != nil {
		out.Jobs = []plan.Job{}
	}
	return out
}

func (f jobV2) job() plan.Job {
	return plan.Job{
		Address: f.Address, TableName: f.TableName, SchemaFingerprint: f.SchemaFingerprint, Schema: f.Declared,
		Destroy: f.Destroy, DestroyReason: f.DestroyReason, PreventDestroy: f.PreventDestroy, Sinks: f.Sinks,
		Found:    plan.Found{Prior: f.Prior, Drift: f.Drift, Renamed: f.Renamed, AbandonedURIs: f.AbandonedURIs},
		Source:   plan.Source{Reading: f.Reading, Books: f.Books, Missing: f.Missing, Waiting: f.Waiting, Survey: f.Survey},
		Output:   plan.Output{Changes: f.Changes, Quarantine: f.Quarantine, Rewrite: f.Rewrite, Obsolete: f.Obsolete, Foreign: f.Foreign, Copies: f.Copies},
		Problems: plan.Problems{Refused: f.Refused, Rejected: f.Rejected, Warnings: f.Warnings},
	}
}
