variable "key" { sensitive = true }
source "knock" "remote" {
  endpoint = "http://syndication.knockrentals.com"
  api_key  = var.key
}
source "knock" "lookalike" {
  endpoint = "http://localhost.example.com"
  api_key  = var.key
}
source "knock" "here" {
  endpoint = "http://127.0.0.1:8080"
  api_key  = var.key
}
