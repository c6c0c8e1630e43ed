# prospector's demo: a lake on disk, from a simulated API, in one command.
#
#   go run ./cmd/prospector -chdir=jobs/demo apply -auto-approve
#
# Nothing here needs an account, a key or a network. What is written stands
# beside this file: the lake in lake/, what prospector remembers of it in
# prospector.state.json.

# Where events come from. The simulator is a real HTTP server, on this machine
# for as long as the command runs, that behaves as the Knock API is documented.
# It has 500 prospects and some 20,000 events; the same seed gives the same ones.
# A later as_of plays the next night: there are more events, and some changed.
source "simulator" "demo" {
  seed      = 1
  prospects = 500
  events    = 20000
  as_of     = "2022-02-01T00:00:00Z"
}

# Where tables are kept. The path is relative to this file.
sink "local" "lake" {
  path = "lake"
}

# What is to be exported. The job's name is the name of its table:
# lake/prospect_events/event_type=SMS_MESSAGE/event_date=2022-01-13/part-00000.parquet
job "prospect_events" {
  source = source.simulator.demo
  sinks  = [sink.local.lake]
}

# Shown at the end, for you to open in DuckDB, pyarrow or Spark.
output "table" {
  value = job.prospect_events.uris
}
