source "simulator" "demo" {}
sink "local" "lake" { path = "lake" }
sink "local" "same" { path = "./lake/" }
sink "local" "below" { path = "lake/events" }
sink "gcs" "lake" {
  bucket = "acme-lake"
  prefix = "knock"
}
sink "gcs" "slashed" {
  bucket = "acme-lake"
  prefix = "/knock/"
}
job "events" {
  source = source.simulator.demo
  sinks  = [sink.local.lake, sink.local.same]
}
job "more" {
  source = source.simulator.demo
  sinks  = [sink.local.below, sink.gcs.lake, sink.gcs.slashed]
}
sink "local" "outer" { path = "other" }
sink "local" "inner" { path = "other/zeta" }
job "alpha" {
  source = source.simulator.demo
  sinks  = [sink.local.inner]
}
job "zeta" {
  source = source.simulator.demo
  sinks  = [sink.local.outer]
}
