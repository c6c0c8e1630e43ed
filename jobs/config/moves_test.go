package config

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"prospector/jobs"
)

func TestMoves(t *testing.T) {
	const head = `
source "simulator" "demo" {}
sink "local" "lake" { path = "lake" }
job "new" {
  source = source.simulator.demo
  sinks  = [sink.local.lake]
}
job "many" {
  for_each = toset(["north", "south"])
  source   = source.simulator.demo
  sinks    = [sink.local.lake]
}
`
	for _, c := range []struct {
		name, main string
		moved      [][2]string
		removed    []jobs.Removed
	}{
		{"one", `
moved {
  from = job.old
  to   = job.new
}`, [][2]string{{"job.old", "job.new"}}, nil},
		{"a chain, in any order", `
moved {
  from = job.b
  to   = job.new
}
moved {
  from = job.z
  to   = job.many["north"]
}
moved {
  from = job.old
  to   = job.b
}
moved {
  from = job.older
  to   = job.old
}`, [][2]string{{"job.older", "job.old"}, {"job.old", "job.b"}, {"job.b", "job.new"}, {"job.z", `job.many["north"]`}}, nil},
		{"a job is given for_each", `
moved {
  from = job.many
  to   = job.many["north"]
}`, [][2]string{{"job.many", `job.many["north"]`}}, nil},
		{"a job loses it", `
moved {
  from = job.new["only"]
  to   = job.new
}`, [][2]string{{`job.new["only"]`, "job.new"}}, nil},
		{"a key is renamed", `
moved {
  from = job.many["no\"rth"]
  to   = job.many["north"]
}`, [][2]string{{`job.many["no\"rth"]`, `job.many["north"]`}}, nil},
		{"all instances, and before", `
moved {
  from = job.lot
  to   = job.many
}
moved {
  from = job.few
  to   = job.lot
}`, [][2]string{
			{`job.few["north"]`, `job.lot["north"]`}, {`job.lot["north"]`, `job.many["north"]`},
			{`job.few["south"]`, `job.lot["south"]`}, {`job.lot["south"]`, `job.many["south"]`}}, nil},
		{"all instances, but one left", `
moved {
  from = job.lot["south"]
  to   = job.new
}
moved {
  from = job.lot
  to   = job.many
}`, [][2]string{{`job.lot["north"]`, `job.many["north"]`}, {`job.lot["south"]`, "job.new"}}, nil},
		{"all instances, but one was taken", `
moved {
  from = job.lot
  to   = job.many
}
moved {
  from = job.other
  to   = job.many["south"]
}`, [][2]string{{`job.lot["north"]`, `job.many["north"]`}, {"job.other", `job.many["south"]`}}, nil},
		{"removed", `
removed { from = job.z }
removed {
  from = job.many["east"]
  lifecycle { destroy = true }
}
removed {
  from = job.a
  lifecycle { destroy = false }
}
removed {
  from = job.b
  lifecycle {}
}`, nil, []jobs.Removed{{From: "job.a"}, {From: "job.b"}, {From: `job.many["east"]`, Destroy: true}, {From: "job.z"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := load(t, write(t, map[string]string{"main.hcl": head + c.main}), Options{})
			var moved [][2]string
			for _, m := range got.Moved {
				moved = append(moved, [2]string{m.From, m.To})
				if m.Origin.Code != "moved {" || m.Attributes["from"].Line == 0 {
					t.Errorf("%s: its block is %+v", m.From, m.Block)
				}
			}
			if d := cmp.Diff(c.moved, moved); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(c.removed, got.Removed, sameValues); d != "" {
				t.Error(d)
			}
		})
	}
}
