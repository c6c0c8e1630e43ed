prospects "bucket" { file = "gs://acme" }
prospects "folder" { file = "gs://acme/lists/" }
prospects "wildcard" { file = "gs://acme/lists/*.csv" }
prospects "double" { file = "gs://acme//ids.csv" }
prospects "name" { file = "gs://Acme/ids.csv" }
prospects "s3" { file = "s3://acme/ids.csv" }
prospects "upper" { file = "GS://acme/ids.csv" }
prospects "reach" {
  file         = "ids.csv"
  user_project = "acme-billing"
  bucket       = "acme"
}
prospects "project" {
  file         = "gs://acme/ids.csv"
  user_project = "projects/acme"
}
variable "key" {
  type      = string
  sensitive = true
}
prospects "secret" { file = "gs://acme/${var.key}/" }

source "simulator" "demo" {}
sink "gcs" "lake" { bucket = "acme" }
prospects "inside" { file = "gs://acme/events/ids.csv" }
job "events" {
  source    = source.simulator.demo
  prospects = prospects.inside
  sinks     = [sink.gcs.lake]
}
