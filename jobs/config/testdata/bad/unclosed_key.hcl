source "knock" "production" {
  api_key  = "sk_live_0123456789
  endpoint = "https://example.com"
}
