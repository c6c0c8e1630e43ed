source "knock" "c" {
  endpoint = "https://example.com"
  api_key  = 0xsk_live_5
}
