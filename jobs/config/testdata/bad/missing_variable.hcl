variable "bucket" {
  type = string
}
sink "gcs" "lake" { bucket = var.bucket }
source "simulator" "demo" {}
job "events" {
  source = source.simulator.demo
  sinks  = [sink.gcs.lake]
}
