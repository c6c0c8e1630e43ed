source "knock" "production" {
  endpoint = "https://example.com"
  api_key  = "k"
}
sink "local" "lake" { path = "lake" }
job "events" {
  source = source.knock.production
  sinks  = [sink.local.lake]
}
