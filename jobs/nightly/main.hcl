# The nightly export: events of the prospects in a list, from the real Knock API
# into a lake on Google Cloud Storage, which BigQuery reads as an external table.
#
# Before the first night:
#   1. Copy example.auto.hclvars.example to example.auto.hclvars; name your bucket.
#   2. Put the ids of your prospects into prospects.csv: the API cannot list them.
#   3. Let prospector write to the bucket: gcloud auth application-default login,
#      or the service account of the machine.
#   4. Keep the API key out of files:  export PROSPECTOR_VAR_knock_api_key=…
#   5. prospector init, prospector validate, prospector plan. Commit the schema
#      lock that init writes, .prospector.lock.hcl.
#
# Then, by cron at 02:15 (an environment file that only its owner can read holds
# the key; flock is not needed: prospector locks its state):
#   15 2 * * *  set -a; . /etc/prospector.env; prospector -chdir=/srv/nightly apply -auto-approve
# or by a systemd timer on a service with
#   EnvironmentFile=/etc/prospector.env
#   ExecStart=/usr/local/bin/prospector -chdir=/srv/nightly apply -auto-approve
# A night in which nothing changed ends with "No changes." and touches no file.

prospector {
  required_version = ">= 0.1.0"

  # What prospector remembers of the lake. Keep it: without it, prospector does
  # not know which files are its own. Where several machines may run this, keep
  # it in a bucket, outside of the lake's prefix:
  #   backend "gcs" {
  #     bucket = "acme-state"
  #     prefix = "knock"
  #   }
  backend "local" {
    path = "prospector.state.json"
  }
}

source "knock" "production" {
  endpoint = var.endpoint
  api_key  = var.knock_api_key # sent only over https, and never shown

  requests_per_second = var.requests_per_second
  concurrency         = 8     # prospects that are read at once
  page_size           = 100   # events
  timeout             = "30s" # of one request
  max_attempts        = 6     # of one page
}

prospects "crm" {
  file   = var.prospects_file
  column = "prospect_id"
}

sink "gcs" "lake" {
  bucket = var.bucket
  prefix = var.prefix
}

job "prospect_events" {
  source       = source.knock.production
  prospects    = prospects.crm
  sinks        = [sink.gcs.lake]
  partition_by = ["event_type", "event_date"]
  compression  = "snappy"

  # No plan deletes the table, not even when this job is taken out of the file:
  # a removed block has to say so.
  lifecycle {
    prevent_destroy = true
  }
}

# What a night must have to be published. The thresholds are yours to set.
check "plausible" {
  job      = job.prospect_events
  severity = "error" # "warning" publishes, and tells
  assert {
    condition     = staged.prospects_failed <= staged.prospects * 0.1
    error_message = "${staged.prospects_failed} of ${staged.prospects} prospects could not be read."
  }
}

check "fresh" {
  job = job.prospect_events
  assert {
    condition     = staged.rows == 0 || staged.newest_event_age_hours < 72
    error_message = "The newest event is ${staged.newest_event_age_hours} hours old."
  }
}

output "table" {
  description = "Where readers find the table."
  value       = job.prospect_events.uris
}
