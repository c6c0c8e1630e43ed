variable "a" { type = strin }
variable "b" {
  type    = number
  default = "many"
}
variable "c" { default = upper("x") }
variable "d" { defualt = 1 }
variable "e" { 
  default   = 1
  sensitive = "perhaps"
}
variable "f-g!" {}
source "simulator" "demo" {}
sink "local" "lake" { path = "lake" }
job "events" {
  source = source.simulator.demo
  sinks  = [sink.local.lake]
}
