source "simulator" "demo" {}
variable "unused" { default = 1 }
