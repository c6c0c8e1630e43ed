prospects "crm" {
  file      = "prospects.csv"
  delimiter = ";;"
  header    = "maybe"
  encoding  = "utf8"
}
prospects "other" {
  file      = "prospects.csv"
  delimiter = "a"
}
source "simulator" "demo" {}
sink "local" "lake" { path = "lake" }
job "events" {
  source    = source.simulator.demo
  prospects = prospects.crm
  sinks     = [sink.local.lake]
}
