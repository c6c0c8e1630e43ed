source "simulator" "demo" {}
sink "local" "lake" { path = "lake" }
locals {
  sizes = { zero = "0MiB", negative = "-1MiB", tiny = "512KiB", huge = "17GiB", unit = "64M", none = "64", number = 268435456, list = [], nan = "NaNMiB", inf = "1e400MiB", empty = "" }
}
job "events" {
  for_each         = local.sizes
  source           = source.simulator.demo
  sinks            = [sink.local.lake]
  target_file_size = each.value
}
job "word" {
  source           = source.simulator.demo
  sinks            = [sink.local.lake]
  target_file_size = "large"
}
