source "knock" "production" {}
prospects "crm" {}
sink "local" "lake" {}
sink "gcs" "lake" {}
job "events" {}
output "table" {}
