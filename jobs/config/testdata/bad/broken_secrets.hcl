# A file that cannot be parsed hides its secrets too.
variable "key" { default = "sk_live_1" sensitive = true }
source "knock" "a" { api_key = sk_live_2 endpoint = 1 }
schema "b" { hash_key = upper("sk_live_3" }
source "knock" "c" {
  api_key = <<EOT
sk_live_4 ${
EOT
}
