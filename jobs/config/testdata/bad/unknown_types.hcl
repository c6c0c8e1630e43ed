source "knok" "production" {}
sink "s3" "lake" {}
prospector {
  backend "locl" {}
}
source "simulator" "demo" {}
sink "local" "lake" { path = "lake" }
job "events" {
  source = source.simulator.demo
  sinks  = [sink.local.lake]
}
