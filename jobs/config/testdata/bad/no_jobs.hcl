source "simulator" "demo" {}
sink "local" "lake" { path = "lake" }
