source "simulator" "demo" {}
source "simulator" "demo" {}
sink "local" "lake" { path = "lake" }
sink "local" "lake" { path = "lake" }
sink "gcs" "lake" { bucket = "acme-lake" }
job "events" {
  source = source.simulator.demo
  sinks  = [sink.local.lake]
}
job "events" {}
variable "x" { default = 1 }
variable "x" { default = 2 }
locals { y = 1 }
locals { y = 2 }
output "z" { value = 1 }
output "z" { value = 2 }
prospector {}
prospector {}
