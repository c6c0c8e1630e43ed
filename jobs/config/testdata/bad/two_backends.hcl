prospector {
  backend "local" { path = "a.json" }
  backend "local" { path = "b.json" }
  required_versoin = ">= 0.1.0"
}
source "simulator" "demo" {}
sink "local" "lake" { path = "lake" }
job "events" {
  source = source.simulator.demo
  sinks  = [sink.local.lake]
}
