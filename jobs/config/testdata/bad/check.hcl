source "simulator" "demo" {}
sink "local" "lake" { path = "lake" }
job "events" {
  source = source.simulator.demo
  sinks  = [sink.local.lake]
}
job "many" {
  for_each = toset(["north", "south"])
  source   = source.simulator.demo
  sinks    = [sink.local.lake]
}
check "empty" {}
check "severity" {
  job      = job.events
  severity = "fatal"
  assert {
    condition     = staged.rowz > 0
    error_message = "No row of ${job.events.nam}."
  }
}
check "columns" {
  job = job.many
  assert {
    condition     = staged.null_share.anything < 1
    error_message = "The job is wrong, so any column may be right."
  }
}
check "columns2" {
  job = job.many["north"]
  assert {
    condition     = staged.null_share.mesage_body < 0.5
    error_message = "Many messages have no text: ${staged.null_share["body"]}."
  }
  assert {
    condition = staged.rows
  }
  assert {
    condition     = staged.rows
    error_message = "A number is no condition."
  }
  assert {
    condition     = staged > 0
    error_message = staged
  }
  assert {
    condition     = null
    error_message = null
  }
  assert {
    condition     = lenght(staged.null_share) > 0
    error_message = "A function that is not there."
    when          = "always"
  }
}
check "not a name" {
  job = job.events
}
check "sink" {
  job = sink.local.lake
  assert {
    condition     = each.key == "a" && staged.newest_event_age_hours + "x" > 1
    error_message = "Neither is known."
  }
}
output "rows" { value = staged.rows }
output "check" { value = check.empty }
