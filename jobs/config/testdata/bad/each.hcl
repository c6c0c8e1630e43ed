source "simulator" "demo" {}
source "simulator" "each" { seed = each.value }
sink "local" "lake" { path = "lake" }
locals { path = each.key }
job "one" {
  source = source.simulator.demo
  sinks  = [sink.local.lake]
  table  = each.key
}
job "many" {
  for_each    = { a = { codec = "zstd" } }
  source      = source.simulator.demo
  sinks       = [sink.local.lake]
  compression = each.value.codek
  table       = each.kye
}
job "ok" {
  for_each = toset(["north", "south"])
  source   = source.simulator.demo
  sinks    = [sink.local.lake]
}
job "empty" {
  for_each = {}
  source   = source.simulator.demo
  sinks    = [sink.local.lake]
}
job "plain" {
  source = source.simulator.demo
  sinks  = [sink.local.lake]
}
output "a" { value = job.ok.uris }
output "b" { value = job.ok["nort"].uris }
output "c" { value = job.ok["east"].uris }
output "d" { value = job.ok[0].uris }
output "e" { value = job.ok["north"].urls }
output "f" { value = job.empty["north"].uris }
output "g" { value = job.plain["north"].uris }
output "h" { value = job.empty.uris }
