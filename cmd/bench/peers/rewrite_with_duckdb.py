"""Rewrites a table with DuckDB, to compare the sizes of the files.

rewrite_with_duckdb.py TABLE OUTPUT CODEC THREADS
"""
import sys

import duckdb
from work import measured

_, table, output, codec, threads = sys.argv

duckdb.sql(f"SET threads = {threads}; SET TimeZone = 'UTC'")
with measured():
    duckdb.sql(f"""
      COPY (
        FROM read_parquet('{table}/**/*.parquet', hive_partitioning = true)
        ORDER BY event_time, prospect_id, event_id
      ) TO '{output}' (FORMAT parquet, PARTITION_BY (event_type, event_date), COMPRESSION {codec})
    """)
