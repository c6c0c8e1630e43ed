source "simulator" "demo" {
  seed                = -1
  prospects           = 0
  events              = -5
  fault_rate          = 1
  page_size           = 10001
  concurrency         = 257
  requests_per_second = -0.5
  max_attempts        = 0
  timeout             = "0s"
  as_of               = "2022-02-01"
}
sink "local" "lake" { path = "lake" }
job "events" {
  source = source.simulator.demo
  sinks  = [sink.local.lake]
}
