package view

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"prospector/jobs"
	"prospector/jobs/ledger"
	"prospector/jobs/plan"
	"prospector/jobs/state"
)

// DocumentVersion is the version of what show -json and output -json print.
const DocumentVersion = "1.3"

// The kinds of objects that a plan changes.
const (
	partitionKind  = "partition"
	quarantineKind = "quarantine"
	foreignKind    = "foreign_object"
	obsoleteKind   = "obsolete_object"
	jobKind        = "job"
)

// change is a planned change in the JSON formats.
type change struct {
	Address   string      `json:"address"`
	Kind      string      `json:"kind"`
	Job       string      `json:"job"`
	Partition string      `json:"partition,omitempty"`
	Action    plan.Action `json:"action"`
	Reason    string      `json:"reason,omitempty"`
	Rows      *plan.Rows  `json:"rows,omitempty"`
	// BytesBefore and BytesAfter are of the first sink.
	BytesBefore int64   `json:"bytes_before"`
	BytesAfter  int64   `json:"bytes_after"`
	Files       int     `json:"files"` // that are written or deleted, in all sinks
	Writes      []write `json:"writes,omitempty"`
}

type write struct {
	Sink   string      `json:"sink"`
	Action plan.Action `json:"action"`
	Key    string      `json:"key"`
}

func writesOf(writes []plan.Write) (out []write) {
	for _, w := range writes {
		out = append(out, write{w.Sink, w.Action, w.Key})
	}
	return out
}

// Actions that partitions do not have.
const (
	moveAction   plan.Action = "move"
	forgetAction plan.Action = "forget"
)

func changesOf(p *plan.Plan) []change {
	out := []change{}
	for _, m := range p.Moved {
		out = append(out, change{Address: m.To, Kind: jobKind, Job: m.To, Action: moveAction, Reason: "moved from " + m.From})
	}
	for _, address := range p.Forgotten {
		out = append(out, change{Address: address, Kind: jobKind, Job: address, Action: forgetAction, Reason: "removed from the configuration"})
	}
	for _, j := range p.Jobs {
		for _, m := range j.Found.Renamed {
			out = append(out, change{Address: j.Address, Kind: jobKind, Job: j.Address, Action: moveAction, Reason: m.From + " has been renamed to " + m.To})
		}
		for _, c := range j.Output.Changes {
			rows := c.Rows
			out = append(out, change{
				Address: partitionAddress(j.Address, c.Partition), Kind: partitionKind, Job: j.Address, Partition: c.Partition,
				Action: c.Action, Reason: j.DestroyReason, Rows: &rows, BytesBefore: c.Before, BytesAfter: c.After,
				Files: len(c.Writes), Writes: writesOf(c.Writes),
			})
		}
		if q := j.Output.Quarantine; q != nil {
			out = append(out, change{
				Address: j.Address + ".quarantine", Kind: quarantineKind, Job: j.Address, Action: q.Action(), Reason: j.DestroyReason,
				Rows: &plan.Rows{Before: q.Before, After: q.After}, Files: len(q.Writes), Writes: writesOf(q.Writes),
			})
		}
		for _, w := range j.Output.Obsolete {
			out = append(out, change{
				Address: j.Address, Kind: obsoleteKind, Job: j.Address, Action: plan.Delete, Reason: "left by an interrupted apply",
				Files: 1, Writes: writesOf([]plan.Write{w}),
			})
		}
		for _, w := range j.Output.Foreign {
			out = append(out, change{
				Address: j.Address, Kind: foreignKind, Job: j.Address, Action: plan.Delete, Reason: `on_foreign_file = "delete"`,
				Files: 1, Writes: writesOf([]plan.Write{w}),
			})
		}
	}
	return out
}

// partitionAddress returns the address of a partition.
func partitionAddress(job, partition string) string {
	a, err := jobs.ParseAddress(job)
	if err != nil {
		return job
	}
	return a.WithPartition(partition).String()
}

// lockOf describes the run that holds the state. It is nil if that run has not
// written its description yet.
func lockOf(holder state.LockInfo) object {
	if holder.ID == "" {
		return nil
	}
	lock := object{
		"id": holder.ID, "operation": holder.Operation, "who": holder.Who,
		"created": holder.Created.Format(time.RFC3339), "path": holder.Path,
	}
	if holder.Lease > 0 {
		lock["lease_seconds"], lock["expires"] = holder.Lease.Seconds(), holder.Expires.Format(time.RFC3339)
	}
	return lock
}

func driftOf(j plan.Job, d plan.Drift) object {
	out := object{"job": j.Address, "sink": d.Sink, "key": d.Key, "kind": d.Kind}
	if d.Held > 0 {
		out["held"] = d.Held
	}
	if d.KeptAs != "" {
		out["kept_as"] = d.KeptAs
	}
	if d.Recovered > 0 {
		out["recovered"] = d.Recovered
		out["proven"] = d.Proven
	}
	return out
}

func checkOf(c plan.Check) object {
	return object{"address": c.Address, "job": c.Job, "severity": c.Severity, "passed": c.Passed, "problems": append(jobs.Diagnostics{}, c.Problems...)}
}

func summaryOf(s plan.Summary, operation string) object {
	return object{"add": s.Add, "change": s.Change, "destroy": s.Destroy, "operation": operation}
}

// readingsOf describes what each job has read, and the result.
func readingsOf(p *plan.Plan) []object {
	out := []object{}
	for _, j := range p.Jobs {
		s := j.Summary()
		r := object{
			"address": j.Address, "table": j.TableName, "schema": j.SchemaFingerprint, "destroy": j.Destroy,
			"changes": object{"add": s.Add, "change": s.Change, "destroy": s.Destroy},
			"books":   j.Source.Books, "missing": j.Source.Missing, "coverage": j.Source.Reading.Coverage,
			"cost": object{
				"requests": j.Source.Reading.Requests, "bytes": j.Source.Reading.Bytes, "seconds": j.Source.Reading.Seconds,
				"requests_per_second": j.Source.Reading.Rate, "least_seconds_at_rate": atRate(j.Source.Reading),
			},
			"exceptions": append([]plan.Exception{}, j.Source.Reading.Exceptions...),
		}
		if len(j.Problems.Rejected) > 0 {
			rejected := []object{}
			for _, p := range j.Problems.Rejected {
				rejected = append(rejected, object{"address": partitionAddress(j.Address, p.Partition), "problem": p.Problem})
			}
			r["rejected"] = rejected
		}
		if j.Output.Rewrite != nil {
			r["rewrite"] = object{
				"schema": j.Output.Rewrite.SchemaFingerprint, "partition_by_before": j.Output.Rewrite.Before, "partition_by_after": j.Output.Rewrite.After,
				"columns": changesJSON(j.Output.Rewrite.Columns), "files": j.Output.Rewrite.Files, "rows": j.Output.Rewrite.Rows,
			}
		}
		if j.Source.Survey != nil {
			r["survey"] = j.Source.Survey
		}
		if l := j.Source.Reading.List; l != nil {
			r["prospects"] = object{
				"count": l.Count, "compared": l.Known, "added": l.Added, "removed": l.Removed,
				"added_ids": append([]string{}, l.AddedIDs...), "removed_ids": append([]string{}, l.RemovedIDs...),
			}
		}
		out = append(out, r)
	}
	return out
}

// atRate returns how many seconds the requests of a reading take at the limit of the
// source. It is 0 without a limit.
func atRate(r plan.Reading) float64 {
	if r.Rate == 0 {
		return 0
	}
	return float64(r.Requests) / r.Rate
}

// OutputsOf returns outputs by name. Sensitive outputs have no value.
func OutputsOf(outputs []jobs.Output) map[string]any {
	out := make(map[string]any)
	for _, o := range outputs {
		value := o.Value
		if o.Sensitive {
			value = nil
		}
		out[o.Name] = object{"sensitive": o.Sensitive, "value": value}
	}
	return out
}

// PlanJSON returns the document of show -json for a saved plan.
func PlanJSON(p *plan.Plan) ([]byte, error) {
	drift := []object{}
	warnings := append(jobs.Diagnostics{}, p.Warnings...)
	for _, j := range p.Jobs {
		for _, d := range j.Found.Drift {
			drift = append(drift, driftOf(j, d))
		}
		warnings = append(warnings, j.Problems.Warnings...)
	}
	checks := []object{}
	for _, c := range p.Checks {
		checks = append(checks, checkOf(c))
	}
	document := object{
		"format_version": DocumentVersion, "prospector_version": jobs.Version,
		"mode": p.Mode, "created": p.Created.Format(time.RFC3339), "applyable": len(p.Blocked()) == 0,
		"state": object{"lineage": p.Lineage, "serial": p.Serial}, "configuration": p.Config,
		"targets": append([]string{}, p.Targets...), "replace": append([]string{}, p.Replace...),
		"changes": changesOf(p), "drift": drift, "checks": checks, "warnings": warnings,
		"summary": summaryOf(p.Summary(), "plan"), "empty": p.Empty(), "jobs": readingsOf(p),
	}
	if len(p.Accepted) > 0 {
		document["accepted"] = p.Accepted
	}
	return json.MarshalIndent(document, "", "  ")
}

// StateJSON returns the document of show -json for the state.
func StateJSON(s *state.State) ([]byte, error) {
	list := []object{}
	for _, address := range s.Addresses() {
		job := s.Jobs[address]
		sinks := []object{}
		for _, sink := range slices.Sorted(maps.Keys(job.Sinks)) {
			sinks = append(sinks, sinkOf(address, sink, job.Sinks[sink]))
		}
		of := object{"address": address, "table": job.TableName, "schema": job.SchemaFingerprint, "sinks": sinks}
		if l := job.Prospects; l != nil {
			of["prospects"] = l.Count
		}
		list = append(list, of)
	}
	return json.MarshalIndent(object{
		"format_version": DocumentVersion, "prospector_version": jobs.Version,
		"lineage": s.Lineage, "serial": s.Serial, "jobs": list,
	}, "", "  ")
}

func sinkOf(job, address string, s *state.Sink) object {
	partitions := []object{}
	for _, path := range slices.SortedFunc(maps.Keys(s.Partitions), cmp.Compare) {
		p := s.Partitions[path]
		files := []object{}
		for _, f := range p.Files {
			files = append(files, object{"key": f.Key, "rows": f.Rows, "content": f.Content, "bytes": f.Size, "crc32c": f.CRC32C})
		}
		of := object{
			"address": partitionAddress(job, path), "partition": path, "rows": p.Rows, "content": p.Content,
			"bytes": p.Size(), "files": files, "incomplete": p.Incomplete,
		}
		if len(p.Files) == 1 { // the format before a partition could have several files
			of["key"], of["crc32c"] = p.Files[0].Key, p.Files[0].CRC32C
		}
		partitions = append(partitions, of)
	}
	out := object{"address": address, "uri": s.URI, "partitions": partitions, "interrupted": s.Pending != nil}
	if q := s.Quarantine; q != nil {
		out["quarantine"] = object{"events": q.Events, "key": q.Object.Key, "bytes": q.Object.Size}
	}
	return out
}

// RunsJSON returns the document of show -runs -json.
func RunsJSON(records []ledger.Record) ([]byte, error) {
	return json.MarshalIndent(object{
		"format_version": DocumentVersion, "prospector_version": jobs.Version, "runs": append([]ledger.Record{}, records...),
	}, "", "  ")
}
