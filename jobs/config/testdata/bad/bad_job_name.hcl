source "simulator" "demo" {}
sink "local" "lake" { path = "lake" }
job "Prospect Events" {
  source = source.simulator.demo
  sinks  = [sink.local.lake]
}
job "_hidden" {
  source = source.simulator.demo
  sinks  = [sink.local.lake]
}
job "../up" {
  source = source.simulator.demo
  sinks  = [sink.local.lake]
}
