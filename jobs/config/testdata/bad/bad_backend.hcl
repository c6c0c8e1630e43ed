prospector {
  backend "gcs" {
    bucket = "Acme State"
    prefix = "knock//*"
    path   = "prospector.state.json"
  }
}
source "simulator" "demo" {}
sink "local" "lake" { path = "." }
sink "gcs" "lake" { bucket = "acme-lake" }
job "events" {
  source = source.simulator.demo
  sinks  = [sink.local.lake, sink.gcs.lake]
}
