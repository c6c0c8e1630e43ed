"""DuckDB: one COPY of a query over the pages.

with_duckdb.py PAGES OUTPUT CODEC THREADS

This is the fastest query that we found. It keeps an event as JSON, and extracts the
paths of all columns at once. A ->> for each column would parse the event each time and
take twice as long. Columns of a typed STRUCT would lose the fields that are not
declared, which extra_json must have.
"""
import sys

import duckdb
from work import measured

_, pages, output, codec, threads = sys.argv

PATHS = [
    "type", "eventTime", "createdAt", "description", "source.title", "agent.username",
    "data.startTime", "data.endTime", "data.status", "data.tourType",
    "data.direction", "data.messageDirection",
    "data.from", "data.sender", "data.fromAddress", "data.fromNumber",
    "data.to", "data.recipient", "data.toAddress", "data.toNumber",
    "data.subject", "data.title",
    "data.body", "data.text", "data.message", "data.content",
]

MESSAGE = """
  "type": null, "eventTime": null, "createdAt": null, "description": null,
  "source": {"title": null}, "data": {
  "direction": null, "messageDirection": null,
  "from": null, "sender": null, "fromAddress": null, "fromNumber": null,
  "to": null, "recipient": null, "toAddress": null, "toNumber": null,
  "subject": null, "title": null,
  "body": null, "text": null, "message": null, "content": null"""
APPOINTMENT = MESSAGE + """,
  "startTime": null, "endTime": null, "status": null, "tourType": null"""
AGENT = """, "agent": {"username": null}"""  # not where the agent is null


def first(*paths):
    return "coalesce(" + ", ".join(f"v[{PATHS.index(path) + 1}]" for path in paths) + ", NULL)"


def of_appointment(path):
    return f"CASE WHEN appointment THEN {first(path)} END"


QUERY = f"""
COPY (
  WITH events AS (
    SELECT DISTINCT prospect_id, edge.node AS node
    FROM read_json('{pages}', format = 'newline_delimited',
      columns = {{prospect_id: 'VARCHAR', edges: 'STRUCT(node JSON)[]'}}), unnest(edges) AS t(edge)
  ),
  taken AS (
    SELECT prospect_id, node, json_extract_string(node, {['$.' + path for path in PATHS]}) AS v,
      starts_with(v[1], 'APPOINTMENT_') AS appointment,
      json_type(node, '$.agent') = 'OBJECT' AS agent
    FROM events
  ),
  left_over AS (
    SELECT *, json_merge_patch(node, CASE
      WHEN agent AND appointment THEN '{{{APPOINTMENT}}}{AGENT}}}'::JSON
      WHEN agent THEN '{{{MESSAGE}}}{AGENT}}}'::JSON
      WHEN appointment THEN '{{{APPOINTMENT}}}}}'::JSON
      ELSE '{{{MESSAGE}}}}}'::JSON END)::VARCHAR AS extra
    FROM taken
  )
  SELECT
    prospect_id,
    {first("type")} AS event_type,
    {first("eventTime", "createdAt")}::TIMESTAMPTZ::DATE AS event_date,
    {first("eventTime")}::TIMESTAMPTZ AS event_time,
    {first("createdAt")}::TIMESTAMPTZ AS created_at,
    {first("description")} AS description,
    {first("source.title")} AS source_title,
    {first("agent.username")} AS agent_username,
    {of_appointment("data.startTime")}::TIMESTAMPTZ AS appointment_start_time,
    {of_appointment("data.endTime")}::TIMESTAMPTZ AS appointment_end_time,
    {of_appointment("data.status")} AS appointment_status,
    {of_appointment("data.tourType")} AS appointment_tour_type,
    {first("data.direction", "data.messageDirection")} AS message_direction,
    {first("data.from", "data.sender", "data.fromAddress", "data.fromNumber")} AS message_from,
    {first("data.to", "data.recipient", "data.toAddress", "data.toNumber")} AS message_to,
    {first("data.subject", "data.title")} AS message_subject,
    {first("data.body", "data.text", "data.message", "data.content")} AS message_body,
    -- The patch leaves objects empty of which every field was taken.
    nullif(replace(replace(replace(extra, ',"agent":{{}}', ''), '"source":{{}},', ''), ',"data":{{}}', ''), '{{"data":{{}}}}') AS extra_json
  FROM left_over
  ORDER BY event_time, prospect_id
) TO '{output}' (FORMAT parquet, PARTITION_BY (event_type, event_date), COMPRESSION {codec})
"""

duckdb.sql(f"SET threads = {threads}; SET TimeZone = 'UTC'")
with measured():
    duckdb.sql(QUERY)
