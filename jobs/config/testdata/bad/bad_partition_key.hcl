source "simulator" "demo" {}
sink "local" "lake" { path = "lake" }
job "misspelt" {
  source       = source.simulator.demo
  sinks        = [sink.local.lake]
  partition_by = ["event_type", "event_day"]
}
job "twice" {
  source       = source.simulator.demo
  sinks        = [sink.local.lake]
  partition_by = ["event_type", "event_type"]
}
job "none" {
  source       = source.simulator.demo
  sinks        = [sink.local.lake]
  partition_by = []
}
