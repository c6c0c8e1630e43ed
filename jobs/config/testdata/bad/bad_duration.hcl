source "simulator" "a" { timeout = "30" }
source "simulator" "b" { timeout = "half a minute" }
source "simulator" "c" { timeout = "2h" }
source "simulator" "demo" {}
sink "local" "lake" { path = "lake" }
job "events" {
  source = source.simulator.demo
  sinks  = [sink.local.lake]
}
