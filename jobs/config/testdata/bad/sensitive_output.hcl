variable "key" { sensitive = true }
locals { derived = upper(var.key) }
source "simulator" "demo" {}
sink "local" "lake" { path = "lake" }
job "events" {
  source = source.simulator.demo
  sinks  = [sink.local.lake]
}
output "key" { value = { nested = [local.derived] } }
