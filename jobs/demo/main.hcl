# prospector's demo: a lake on disk, from a simulated API, in one command.
#
#   go run ./cmd/prospector -chdir=jobs/demo apply -auto-approve
#
# It needs no account, no key and no network. Everything is written next to this
# file: the lake to lake/, and the state, which records what prospector owns, to
# prospector.state.json.

# Where events come from. The simulator is an HTTP server on this machine that runs
# as long as the command and behaves as the Knock API is documented. It has 500
# prospects and 20,000 events. The same seed always gives the same events. With a
# later as_of, it plays a later night: there are new events, and some have changed.
source "simulator" "demo" {
  seed      = 1
  prospects = 500
  events    = 20000
  as_of     = "2022-02-01T00:00:00Z"
}

# Where tables are stored. The path is relative to this file.
sink "local" "lake" {
  path = "lake"
}

# What to export. The job's name is the name of its table:
# lake/prospect_events/event_type=SMS_MESSAGE/event_date=2022-01-13/part-00000.parquet
job "prospect_events" {
  source = source.simulator.demo
  sinks  = [sink.local.lake]
}

# Printed at the end of apply. Open it in DuckDB, pyarrow or Spark.
output "table" {
  value = job.prospect_events.uris
}
