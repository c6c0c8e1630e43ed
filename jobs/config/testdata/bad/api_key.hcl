variable "key" { sensitive = true }
source "knock" "empty" {
  endpoint = "https://example.com"
  api_key  = ""
}
source "knock" "unquoted" {
  endpoint = "https://example.com"
  api_key  = sk_live_0123456789
}
source "knock" "newline" {
  endpoint = "https://example.com"
  api_key  = "sk_live_0123456789\n"
}
source "knock" "list" {
  endpoint = "https://example.com"
  api_key  = ["sk_live_0123456789"]
}
source "knock" "derived" {
  endpoint = "https://example.com"
  api_key  = "${tonumber("sk_live_0123456789")}"
}
