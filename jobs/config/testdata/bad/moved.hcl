source "simulator" "demo" {}
sink "local" "lake" { path = "lake" }
job "events" {
  source = source.simulator.demo
  sinks  = [sink.local.lake]
}
job "many" {
  for_each = toset(["north"])
  source   = source.simulator.demo
  sinks    = [sink.local.lake]
}
moved {
  from = job.events
  to   = job.many["north"]
}
moved {
  from = job.many
  to   = job.new
}
moved {
  from = job.many["north"]
  to   = job.event
}
moved {
  from = job.a
  to   = job.event
}
moved {
  from = job.a
  to   = job.events
}
moved {
  from = job.b
  to   = job.events
}
moved {
  from = job.c
  to   = job.events
}
moved {
  from = job.d
  to   = job.e
}
moved {
  from = job.e
  to   = job.d
}
moved {
  from = job.f
  to   = job.f
}
moved {
  from = job.g
  to   = job.many["nort"]
}
moved {
  from = job.h
  to   = job.events["north"]
}
moved {
  from = job.i
  to   = job.gone
}
removed { from = job.gone }
moved {
  from = job
}
moved {
  from = "job.events"
  to   = sink.local.lake
  when = "now"
}
moved {
  from = job.events[0]
  to   = job.events.uris
}
