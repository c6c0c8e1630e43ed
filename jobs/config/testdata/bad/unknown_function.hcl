locals { 
  a = uper("x")
  b = frobnicate("x")
  c = upper("x", "y")
  d = tonumber("x")
  e = env("NO_SUCH_VARIABLE")
  f = file("no_such_file.txt")
}
source "simulator" "demo" {}
sink "local" "lake" { path = "lake" }
job "events" {
  source = source.simulator.demo
  sinks  = [sink.local.lake]
}
