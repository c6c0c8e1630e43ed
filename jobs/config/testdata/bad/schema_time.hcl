schema "s" {
  extends = "knock_events"
  column "event_time" { time = "ms" }
  column "created_at" {
    time = "unix_ms"
    from = ["at"]
  }
  column "born" {
    type = date
    from = ["data.born"]
    time = "%d.%m"
  }
  column "message_body" { time = "unix_s" }
}
source "simulator" "demo" {}
sink "local" "lake" { path = "lake" }
job "events" {
  source = source.simulator.demo
  sinks  = [sink.local.lake]
  schema = schema.s
}
