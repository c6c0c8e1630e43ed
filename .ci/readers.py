"""Checks a lake with readers that share no code with its writer.

readers.py TABLE_DIRECTORY ROWS      the files, with DuckDB and with pyarrow
readers.py --view FILE.sql VIEW ROWS the view that `prospector sql` defines
"""
import sys

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

CHECK = """
  SELECT count(*), count(DISTINCT event_id), count(event_type),
         count(*) FILTER (event_date <> CAST(coalesce(event_time, created_at) AT TIME ZONE 'UTC' AS DATE))
  FROM {}
"""


def expect(what, got, want):
    if got != want:
        sys.exit(f"{what}: got {got}, want {want}")
    print(f"{what}: {got}")


if sys.argv[1] == "--view":
    _, _, sql, view, rows = sys.argv
    rows = int(rows)
    duckdb.sql(open(sql).read())
    expect("DuckDB's view: rows, distinct ids, types, misplaced", duckdb.sql(CHECK.format(view)).fetchall()[0], (rows, rows, rows, 0))
    sys.exit()

_, root, rows = sys.argv
rows = int(rows)
files = f"read_parquet('{root}/**/*.parquet', hive_partitioning = true, hive_types = {{'event_type': VARCHAR, 'event_date': DATE}})"
expect("DuckDB: rows, distinct ids, types, misplaced", duckdb.sql(CHECK.format(files)).fetchall()[0], (rows, rows, rows, 0))

partitioning = ds.partitioning(pa.schema([("event_type", pa.string()), ("event_date", pa.date32())]), flavor="hive")
table = ds.dataset(root, format="parquet", partitioning=partitioning).to_table()
day = pc.cast(pc.floor_temporal(pc.coalesce(table["event_time"], table["created_at"]), unit="day"), pa.date32())
misplaced = pc.sum(pc.not_equal(day, table["event_date"])).as_py()
expect("pyarrow: rows, distinct ids, misplaced", (table.num_rows, pc.count_distinct(table["event_id"]).as_py(), misplaced), (rows, rows, 0))
expect("pyarrow: timestamps", str(table.schema.field("event_time").type), "timestamp[us, tz=UTC]")
