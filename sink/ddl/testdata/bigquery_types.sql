-- event_type holds letters, digits and _.- unchanged; any other byte is _xHH_, in hexadecimal.
CREATE OR REPLACE EXTERNAL TABLE `project.dataset.typed` (
  event_id STRING, -- Deterministic: the first 120 bits of a SHA-256 over the prospect, the type and the time of creation, as base64url.
  prospect_id STRING, -- The id under which the event was requested.
  event_time TIMESTAMP, -- When it happened.
  created_at TIMESTAMP, -- When Knock recorded it.
  a_string STRING,
  a_int64 INT64,
  a_float64 FLOAT64,
  a_bool BOOL,
  a_timestamp TIMESTAMP,
  a_date DATE,
  a_json STRING, -- JSON, which PARSE_JSON reads.
  tags STRING, -- JSON, which PARSE_JSON reads. What agents stuck on.
  extra_json STRING -- Every field that no column took, as one JSON object with sorted keys; NULL when there is none.
)
WITH PARTITION COLUMNS (event_type STRING, event_date DATE)
OPTIONS (
  format = 'PARQUET',
  uris = ['gs://bucket/typed/*.parquet'],
  hive_partition_uri_prefix = 'gs://bucket/typed',
  require_hive_partition_filter = false
);
