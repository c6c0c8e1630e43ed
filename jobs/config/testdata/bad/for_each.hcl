variable "secret" {
  default   = ["a"]
  sensitive = true
}
source "simulator" "demo" {}
sink "local" "lake" { path = "lake" }
job "list" {
  for_each = ["a", "b"]
  source   = source.simulator.demo
  sinks    = [sink.local.lake]
}
job "hidden" {
  for_each = toset(var.secret)
  source   = source.simulator.demo
  sinks    = [sink.local.lake]
}
job "number" {
  for_each = 3
  source   = source.simulator.demo
  sinks    = [sink.local.lake]
}
job "null" {
  for_each = null
  source   = source.simulator.demo
  sinks    = [sink.local.lake]
}
job "numbers" {
  for_each = toset([1, 2])
  source   = source.simulator.demo
  sinks    = [sink.local.lake]
}
job "itself" {
  for_each = job.itself
  source   = source.simulator.demo
  sinks    = [sink.local.lake]
}
job "keys" {
  for_each = toset(["North East", "South", "south"])
  source   = source.simulator.demo
  sinks    = [sink.local.lake]
}
job "same" {
  for_each = toset(["one", "two"])
  source   = source.simulator.demo
  sinks    = [sink.local.lake]
  table    = "same"
}
job "nulls" {
  for_each = { "A" = null, b = "name" }
  source   = source.simulator.demo
  sinks    = [sink.local.lake]
  table    = each.value
}
