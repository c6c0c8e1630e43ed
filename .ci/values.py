"""Prints what DuckDB reads from a lake: for each column, a line with the number of
values that are not NULL and a hash of them. values.mjs and parquet-go/ print the same
for other readers.

values.py TABLE_DIRECTORY
"""
import sys

import duckdb

files = f"read_parquet('{sys.argv[1]}/**/*.parquet', hive_partitioning = false)"
text = {
    "VARCHAR": "{}",
    "BIGINT": "CAST({} AS VARCHAR)",
    "BOOLEAN": "CAST({} AS VARCHAR)",
    "DATE": "CAST({} - DATE '1970-01-01' AS VARCHAR)",
    "TIMESTAMP WITH TIME ZONE": "CAST(epoch_us({}) AS VARCHAR)",
}
rows, ids = duckdb.sql(f"SELECT count(*), count(DISTINCT event_id) FROM {files}").fetchall()[0]
print("rows", rows, "ids", ids)
for column, kind, *_ in duckdb.sql(f"DESCRIBE SELECT * FROM {files}").fetchall():
    value = text[str(kind)].format(f'"{column}"')
    count, digest = duckdb.sql(f"""
      SELECT count(h), sha256(coalesce(string_agg(h, '' ORDER BY h), ''))
      FROM (SELECT sha256({value}) AS h FROM {files}) WHERE h IS NOT NULL""").fetchall()[0]
    print(column, count, digest)
