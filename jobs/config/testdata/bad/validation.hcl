variable "key" {
  sensitive = true
  validation {
    condition     = length(var.key) > 20
    error_message = "The key ${var.key} is too short."
  }
  validation {
    condition     = parseint(var.key, 10) > 0
    error_message = "It must be a number."
  }
}
variable "region" {
  default = "nroth"
  validation {
    condition     = contains(["north", "south"], var.region)
    error_message = "A region is north or south."
  }
}
variable "a" {
  default = 1
  validation {
    condition = var.a > 0
  }
  validation {
    condition     = true
    error_message = "It is never false."
  }
  validation {
    condition     = "${var.a} pieces"
    error_message = "It is no bool."
  }
  validation {
    condition     = [var.a]
    error_message = "Nor is it."
  }
  validation {
    condition     = var.a < 0
    error_message = ["not a text"]
  }
  validation {
    condition     = var.a > 0
    error_message = "unknown: ${var.b}"
    severity      = "warning"
  }
}
variable "c" {
  validation {
    condition     = var.c > 0
    error_message = "It has no value, which is reported once."
  }
}
variable "d" {
  default = 1
  validation {
    condition     = var.d > var.c
    error_message = "It depends on what has no value."
  }
}
variable "codec" {
  default = "snapy"
  validation {
    condition     = contains(["snappy", "zstd"], var.codec)
    error_message = "The codec must be snappy or zstd. The job does not report this again."
  }
}
source "simulator" "demo" { seed = var.a }
sink "local" "lake" { path = var.region }
job "events" {
  source = source.simulator.demo
  sinks  = [sink.local.lake]

  compression = var.codec
}
