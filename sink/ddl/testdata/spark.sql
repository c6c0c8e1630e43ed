-- event_type holds letters, digits and _.- unchanged; any other byte is _xHH_, in hexadecimal.
CREATE TABLE IF NOT EXISTS `prospect_events` (
  `event_id` STRING, -- Deterministic: the first 120 bits of a SHA-256 over the prospect, the type and the time of creation, as base64url.
  `prospect_id` STRING, -- The id under which the event was requested.
  `event_time` TIMESTAMP, -- When it happened.
  `created_at` TIMESTAMP, -- When Knock recorded it.
  `description` STRING, -- The vendor's sentence about the event.
  `source_title` STRING, -- Where the prospect came from.
  `agent_username` STRING, -- The leasing agent.
  `appointment_start_time` TIMESTAMP, -- When the tour begins.
  `appointment_end_time` TIMESTAMP, -- When the tour ends.
  `appointment_status` STRING, -- confirmed, cancelled, …
  `appointment_tour_type` STRING, -- IN_PERSON, VIRTUAL, …
  `message_direction` STRING, -- inbound (from the prospect) or outbound.
  `message_from` STRING, -- Who sent it: an address, a number or a name.
  `message_to` STRING, -- Who received it.
  `message_subject` STRING, -- The subject of an e-mail.
  `message_body` STRING, -- The text of the message.
  `extra_json` STRING, -- Every field that no column took, as one JSON object with sorted keys; NULL when there is none.
  `event_type` STRING, -- The vendor's name for the kind of event, as it came.
  `event_date` DATE -- UTC day of event_time, or of created_at where there is none.
)
USING PARQUET
PARTITIONED BY (`event_type`, `event_date`)
LOCATION 'file:///lake/prospect_events';

-- After every change of the lake:
MSCK REPAIR TABLE `prospect_events` SYNC PARTITIONS;
