# The value of key is in no diagnostic, whatever is made of it.
variable "key" { 
  sensitive = true 
  type      = string
}
variable "fallback" { 
  type      = number
  sensitive = true 
  default   = "sk_live_0123456789"
}
locals { 
  map    = { (var.key) = 1 }
  number = tonumber(var.key)
  parsed = jsondecode(var.key)
  int    = parseint(var.key, 10)
  date   = formatdate("YYYY", var.key)
  regex  = regex(var.key, "text")
  path   = file(var.key)
  index  = { a = 1 }[var.key]
  env    = env(upper(var.key))
  tried  = try(tonumber(var.key))
  word   = { a = 1 }[sensitive("sk_live_0123456789")]
}
source "simulator" "demo" {
  seed    = var.key
  timeout = var.key
  as_of   = var.key
}
source "knock" "production" {
  endpoint = var.key
  api_key  = "a key with spaces"
}
sink "gcs" "lake" {
  bucket = var.key
  prefix = "${var.key}//"
}
sink "local" "lake" { path = "lake" }
source "simulator" "good" {}
job "events" {
  source       = source.simulator.good
  sinks        = var.key
  compression  = var.key
  partition_by = [var.key]
}
