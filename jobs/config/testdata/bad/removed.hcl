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
removed { from = job.events }
removed { from = job.many }
removed { from = job.many["north"] }
removed {
  from = job.old
  lifecycle { destroy = "perhaps" }
  lifecycle { destroy = true }
}
removed { from = job.old }
removed {
  form = job.old
}
removed {}
removed { from = upper("job.events") }
