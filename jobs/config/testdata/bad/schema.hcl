source "simulator" "demo" { vendor_changes = "perhaps" }
sink "local" "lake" { path = "lake" }
variable "key" {
  sensitive = true
}
schema "extended" {
  extends       = "knock_event"
  unknown_field = "discard"
  unknown_type  = "drop"
  mismatch      = "quarantin"
  event_types   = ["VOICE*MESSAGE"]
  columns       = []
  column "sentiment" {
    type   = strng
    from   = ["data.sentiment"]
    policy = "hide"
  }
  column "message_bdy" { policy = "redact" }
  column "message_body" {
    polcy = "redact"
    pii   = "perhaps"
  }
  column "event_id" { policy = "hash" }
  column "score" {
    type   = float64
    from   = "data.score"
    when   = [null]
    policy = hash
  }
}
schema "bare" {
  description = var.key
  column "1st" {
    type = string
    from = ["data.first"]
  }
  column "score" {
    type   = "float64"
    from   = ["data.score", "data..score"]
    policy = "mask"
  }
  column "twice" {
    type = string
    from = ["data.a"]
  }
  column "Twice" {
    type = string
    from = ["data.b"]
  }
  column "all" {
    type = json
    from = ["data"]
  }
  column "hidden" {
    type        = string
    from        = [var.key]
    description = each.key
  }
}
job "events" {
  source     = source.simulator.demo
  sinks      = [sink.local.lake]
  schema     = "extended"
  on_missing = "remove"
}
job "others" {
  source = source.simulator.demo
  sinks  = [sink.local.lake]
  schema = schema.extend
}
job "more" {
  source = source.simulator.demo
  sinks  = [sink.local.lake]
  schema = source.simulator.demo
}
check "left_alone" { # no error here: the error in the schema of its job is reported above
  job = job.events
  assert {
    condition     = staged.null_share["sentiment"] < 0.1
    error_message = "Too few."
  }
}
