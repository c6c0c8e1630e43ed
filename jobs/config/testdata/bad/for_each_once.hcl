source "simulator" "demo" {}
sink "local" "lake" { path = "lake" }
job "many" {
  for_each    = toset(["a", "b", "c"])
  source      = source.simulator.dmeo
  sinks       = [sink.local.lake]
  compression = "snapy"
  tabel       = "many"
}
job "none" {
  for_each    = toset([])
  source      = source.simulator.demo
  sinks       = [sink.local.lakes]
  compression = "snapy"
}
job "differ" {
  for_each    = toset(["snapy", "gzip", "lzo"])
  source      = source.simulator.demo
  sinks       = [sink.local.lake]
  compression = each.value
}
job "lacks" {
  for_each = toset(["a", "b"])
  source   = source.simulator.demo
}
