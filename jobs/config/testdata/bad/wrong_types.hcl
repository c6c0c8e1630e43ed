source "simulator" "demo" {
  seed        = "first"
  prospects   = [500]
  events      = 20000.5
  as_of       = true
  fault_rate  = { share = 0.5 }
  page_size   = null
  timeout     = 30
  concurrency = "8"
}
sink "local" "lake" { path = ["lake"] }
job "events" {
  source       = "simulator"
  prospects    = sink.local.other
  sinks        = sink.local.other
  partition_by = "event_type"
  compression  = 7
}
sink "local" "other" { path = "other" }
job "more" {
  source = prospects.crm
  sinks  = ["other", sink.local.other]
}
prospects "crm" { file = "crm.csv" }
job "forged" {
  source = { id = "sink.local.other", type = "knock", name = "x", endpoint = "https://example.com" }
  sinks  = [merge(sink.local.other, { id = "prospects.crm" })]
}
