-- event_type holds letters, digits and _.- unchanged; any other byte is _xHH_, in hexadecimal.
CREATE TABLE IF NOT EXISTS `typed` (
  `event_id` STRING, -- Deterministic: the first 120 bits of a SHA-256 over the prospect, the type and the time of creation, as base64url.
  `prospect_id` STRING, -- The id under which the event was requested.
  `event_time` TIMESTAMP, -- When it happened.
  `created_at` TIMESTAMP, -- When Knock recorded it.
  `a_string` STRING,
  `a_int64` BIGINT,
  `a_float64` DOUBLE,
  `a_bool` BOOLEAN,
  `a_timestamp` TIMESTAMP,
  `a_date` DATE,
  `a_json` STRING,
  `tags` STRING, -- What agents stuck on.
  `extra_json` STRING, -- Every field that no column took, as one JSON object with sorted keys; NULL when there is none.
  `event_type` STRING, -- The vendor's name for the kind of event, as it came.
  `event_date` DATE -- UTC day of event_time, or of created_at where there is none.
)
USING PARQUET
PARTITIONED BY (`event_type`, `event_date`)
LOCATION 'file:///lake/typed';

-- After every change of the lake:
MSCK REPAIR TABLE `typed` SYNC PARTITIONS;
