"""Prints the results of figures.sql for a table, read in one of three ways.

figures.py view FILE.sql            the view that `prospector sql` defines
figures.py files TABLE_DIRECTORY    the directory, read by DuckDB
figures.py dataset TABLE_DIRECTORY  the directory, read by pyarrow
"""
import pathlib
import sys

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds

_, way, place = sys.argv
if way == "view":
    duckdb.sql(open(place).read())
elif way == "files":
    duckdb.sql(f"CREATE VIEW prospect_events AS FROM read_parquet('{place}/**/*.parquet', hive_partitioning = true)")
else:
    keys = ds.partitioning(pa.schema([("event_type", pa.string()), ("event_date", pa.date32())]), flavor="hive")
    duckdb.register("prospect_events", ds.dataset(place, partitioning=keys).to_table())
for (figure,) in duckdb.sql(pathlib.Path(__file__).with_suffix(".sql").read_text()).fetchall():
    print(figure)
