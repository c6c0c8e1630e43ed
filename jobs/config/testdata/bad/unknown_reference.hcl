source "simulator" "demo" { seed = var.seed }
sink "local" "lake" { path = local.pathh }
sink "gcs" "lake" { bucket = lake }
locals { path = "lake" }
job "events" {
  source    = source.simulator.dmeo
  prospects = prospects.crm
  sinks     = [sink.gcs.lakes, sinks.local.lake, data.sink.lake]
}
output "table" { value = job.events.urls }
output "other" { value = [sink.local, source["simulator"], job] }
