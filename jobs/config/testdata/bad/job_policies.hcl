variable "secret" {
  default   = "s3cr3t"
  sensitive = true
}
source "simulator" "demo" {}
sink "local" "lake" { path = "lake" }
job "events" {
  source          = source.simulator.demo
  sinks           = [sink.local.lake]
  table           = "Prospect Events"
  on_foreign_file = "remove"
  lifecycle {
    prevent_destroy = "perhaps"
    prevent_destory = true
  }
  lifecycle {}
}
job "hidden" {
  source = source.simulator.demo
  sinks  = [sink.local.lake]
  table  = var.secret
}
job "same" {
  source = source.simulator.demo
  sinks  = [sink.local.lake]
}
job "other" {
  source          = source.simulator.demo
  sinks           = [sink.local.lake]
  table           = "same"
  on_foreign_file = "delte"
  on_erased       = "exprot"
}
