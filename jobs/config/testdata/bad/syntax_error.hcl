source "simulator" "demo" {
  seed = 
}

sink "local" "lake" {
  path = "lake
}
