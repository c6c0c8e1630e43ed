"""Fails unless all Parquet files of a table have the same schema.

one_schema.py TABLE_DIRECTORY
"""
import pathlib
import sys

import pyarrow.parquet as pq

schemas = {}
for file in sorted(pathlib.Path(sys.argv[1]).rglob("*.parquet")):
    schemas.setdefault(pq.read_schema(file).remove_metadata(), file)
if len(schemas) != 1:
    sys.exit("\n\n".join(f"{file}\n{schema}" for schema, file in schemas.items()))
