prospector {
  backend "local" { path = "lake/events/prospector.state.json" }
}
source "simulator" "demo" {}
sink "local" "lake" { path = "lake" }
prospects "crm" { file = "lake/events/crm.csv" }
job "events" {
  source    = source.simulator.demo
  prospects = prospects.crm
  sinks     = [sink.local.lake]
}
