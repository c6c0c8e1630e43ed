-- The figures of a lake, as one text each, for comparison. DuckDB and Spark run this
-- query.
SELECT concat('rows ', event_type, ' ', CAST(event_date AS STRING), ' ', CAST(count(*) AS STRING))
FROM prospect_events GROUP BY event_type, event_date
UNION ALL
SELECT concat('id ', event_id, ' ', CAST(count(*) AS STRING))
FROM prospect_events GROUP BY event_id
UNION ALL
SELECT concat('sentiment ', message_sentiment, ' ', CAST(count(*) AS STRING))
FROM prospect_events WHERE message_sentiment IS NOT NULL GROUP BY message_sentiment
UNION ALL
SELECT concat('reminders ', CAST(sum(CAST(appointment_reminders AS DECIMAL(18, 3))) AS STRING))
FROM prospect_events
UNION ALL
SELECT concat('segments ', CAST(sum(message_segments) AS STRING))
FROM prospect_events
UNION ALL
-- No other key has this name, and a quote within a text is escaped.
SELECT concat('segments in extra_json, ', CASE WHEN message_segments IS NULL THEN 'without' ELSE 'next to' END, ' a value ', CAST(count(*) AS STRING))
FROM prospect_events WHERE extra_json LIKE '%"segments":%' GROUP BY message_segments IS NULL;
