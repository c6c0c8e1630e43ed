-- event_type holds letters, digits and _.- unchanged; any other byte is _xHH_, in hexadecimal.
CREATE OR REPLACE VIEW "prospect_events" AS
SELECT
  "event_id",
  "prospect_id",
  "event_time",
  "created_at",
  "description",
  "source_title",
  "agent_username",
  "appointment_start_time",
  "appointment_end_time",
  "appointment_status",
  "appointment_tour_type",
  "message_direction",
  "message_from",
  "message_to",
  "message_subject",
  "message_body",
  "extra_json",
  "event_type",
  "event_date"
FROM read_parquet(
  '/lake/prospect_events/**/*.parquet',
  hive_partitioning = true,
  hive_types = {'event_type': VARCHAR, 'event_date': DATE},
  union_by_name = false
);
