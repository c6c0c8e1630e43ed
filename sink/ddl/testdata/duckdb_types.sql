-- event_type holds letters, digits and _.- unchanged; any other byte is _xHH_, in hexadecimal.
CREATE OR REPLACE VIEW "typed" AS
SELECT
  "event_id",
  "prospect_id",
  "event_time",
  "created_at",
  "a_string",
  "a_int64",
  "a_float64",
  "a_bool",
  "a_timestamp",
  "a_date",
  "a_json",
  "tags",
  "extra_json",
  "event_type",
  "event_date"
FROM read_parquet(
  '/lake/typed/**/*.parquet',
  hive_partitioning = true,
  hive_types = {'event_type': VARCHAR, 'event_date': DATE},
  union_by_name = false
);
