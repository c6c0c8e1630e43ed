# The nightly export: the events of a list of prospects, from the Knock API into a
# lake on Google Cloud Storage, which BigQuery reads as an external table.
#
# Before the first night:
#   1. Copy example.auto.hclvars.example to example.auto.hclvars and set the bucket.
#   2. List the IDs of your prospects in prospects.csv. The API cannot list them.
#   3. Give prospector access to the bucket: gcloud auth application-default login,
#      or the machine's service account.
#   4. Keep the API key out of files: export PROSPECTOR_VAR_knock_api_key=…
#   5. Run prospector init, prospector validate and prospector plan. Commit the
#      schema lock that init writes, .prospector.lock.hcl.
#
# To try it without a bucket or a key, run it against prospector simulate with
# -var dry_run=true: see the README.
#
# Then run it every night. With cron at 02:15, and the key in an environment file
# that only its owner can read (prospector locks its state, so flock is not needed):
#   15 2 * * *  set -a; . /etc/prospector.env; prospector -chdir=/srv/nightly apply -auto-approve
# With a systemd timer, the service has:
#   EnvironmentFile=/etc/prospector.env
#   ExecStart=/usr/local/bin/prospector -chdir=/srv/nightly apply -auto-approve
# A night without changes ends with "No changes." and touches no file.

prospector {
  required_version = ">= 0.1.0"

  # The state records which files in the lake are prospector's. Keep it. If several
  # machines run this job, keep the state in a bucket, outside the lake's prefix. To
  # move it there later, change this block and run: prospector init -migrate-state
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
  concurrency         = 8     # prospects read at the same time
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

sink "local" "dry_run" {
  path = "lake"
}

job "prospect_events" {
  source       = source.knock.production
  prospects    = prospects.crm
  sinks        = var.dry_run ? [sink.local.dry_run] : [sink.gcs.lake]
  partition_by = ["event_type", "event_date"]
  compression  = "snappy"

  # No plan deletes the table, even after this job is removed from the
  # configuration, unless a removed block has lifecycle { destroy = true }.
  lifecycle {
    prevent_destroy = !var.dry_run
  }
}

# Conditions for publishing a night. Set your own thresholds.
check "plausible" {
  job      = job.prospect_events
  severity = "error" # "warning" reports the problem and publishes
  assert {
    condition     = staged.prospects_failed <= staged.prospects * 0.1
    error_message = "${staged.prospects_failed} of ${staged.prospects} prospects could not be read."
  }
}

check "fresh" {
  job = job.prospect_events
  assert {
    condition     = var.dry_run || staged.rows == 0 || staged.newest_event_age_hours < 72
    error_message = "The newest event is ${staged.newest_event_age_hours} hours old."
  }
}

output "table" {
  description = "Where readers find the table."
  value       = job.prospect_events.uris
}
