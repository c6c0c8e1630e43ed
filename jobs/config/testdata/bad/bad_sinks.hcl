source "simulator" "demo" {}
sink "local" "lake" { path = "lake" }
job "empty" {
  source = source.simulator.demo
  sinks  = []
}
job "twice" {
  source = source.simulator.demo
  sinks  = [sink.local.lake, sink.local.lake]
}
