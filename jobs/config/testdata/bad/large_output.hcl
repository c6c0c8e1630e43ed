source "simulator" "demo" {}
sink "local" "lake" { path = "lake" }
job "events" {
  source = source.simulator.demo
  sinks  = [sink.local.lake]
}
output "large" { value = [1e400] }
