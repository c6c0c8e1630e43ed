source "simulator" "demo" {
  sed       = 2
  rate_limt = 3
}
sink "local" "lake" { path = "lake" }
job "events" {
  source = source.simulator.demo
  sinks  = [sink.local.lake]
}
