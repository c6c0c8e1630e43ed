locals {
  a = local.b
  b = "${local.c}-"
  c = [local.a]
  d = local.d
}
source "simulator" "demo" {}
sink "local" "lake" { path = "lake" }
job "events" {
  source = source.simulator.demo
  sinks  = job.events.uris
}
