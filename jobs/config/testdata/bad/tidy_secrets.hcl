# Neither does one that can be parsed show them.
variable "key" { 
  type      = list(string)
  default   = { inner = "sk_live_1" }
  sensitive = true
}
source "knock" "a" { 
  endpoint = "http://me:hunter2@127.0.0.1"
  api_key  = { inner = "sk_live_3" }
}
source "knock" "b" {
  endpoint = "https://example.com"
  api_key  = <<-EOT
    sk_live_4
    EOT
}
