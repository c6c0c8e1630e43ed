prospector {
  backend "gcs" {
    bucket = "acme-lake"
    prefix = "knock/events/state"
  }
}
source "simulator" "demo" {}
sink "gcs" "lake" {
  bucket = "acme-lake"
  prefix = "knock"
}
sink "gcs" "deep" {
  bucket = "acme-lake"
  prefix = "knock/events"
}
job "events" {
  source = source.simulator.demo
  sinks  = [sink.gcs.lake]
}
job "other" {
  source = source.simulator.demo
  sinks  = [sink.gcs.lake]
  table  = "other"
}
