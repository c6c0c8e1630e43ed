source "simulator" "demo" {}
sink "local" "lake" { path = "lake" }
schema "paths" {
  extends = "knock_events"
  column "text" { # message_body takes it
    type = string
    from = ["data.text"]
  }
  column "message_from" { from = ["data.sender.name", "data.subject"] }
  column "sender" {
    type = json
    from = ["data.sender"]
  }
}
job "events" {
  source = source.simulator.demo
  sinks  = [sink.local.lake]
  schema = schema.paths
}
