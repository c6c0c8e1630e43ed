source "simulator" "demo" {}
sink "local" "lake" { path = "lake" }
variable "key" {
  sensitive = true
}
schema "none" {
  extends = "knock_events"
  column "message_from" { policy = "hash" }
}
schema "open" {
  extends  = "knock_events"
  hash_key = "s3cr3t-s3cr3t-s3cr3t"
  column "message_from" { policy = "hash" }
}
schema "short" {
  extends  = "knock_events"
  hash_key = var.key
  column "message_from" { policy = "hash" }
}
schema "number" {
  extends  = "knock_events"
  hash_key = [var.key]
  column "message_from" { policy = "hash" }
}
job "events" {
  source = source.simulator.demo
  sinks  = [sink.local.lake]
  schema = schema.none
}
