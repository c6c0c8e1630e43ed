locals { key = "k" }
source "knock" "relative" {
  endpoint = "syndication.knockrentals.com"
  api_key  = local.key
}
source "knock" "scheme" {
  endpoint = "ftp://syndication.knockrentals.com"
  api_key  = local.key
}
source "knock" "query" {
  endpoint = "https://syndication.knockrentals.com/?first=10"
  api_key  = local.key
}
source "knock" "fragment" {
  endpoint = "https://syndication.knockrentals.com/#"
  api_key  = local.key
}
source "knock" "user" {
  endpoint = "https://me:hunter2@syndication.knockrentals.com"
  api_key  = local.key
}
source "knock" "nohost" {
  endpoint = "https:///events"
  api_key  = local.key
}
source "knock" "port" {
  endpoint = "https://example.com:many/"
  api_key  = local.key
}
sink "local" "lake" { path = "lake" }
prospects "crm" { file = "-" }
job "events" {
  source    = source.knock.port
  prospects = prospects.crm
  sinks     = [sink.local.lake]
}
