"""pyarrow: Python's json, columns in memory, and the data set writer. (pyarrow.json
needs one type for each field, and cannot hold values of other types.)

with_pyarrow.py PAGES OUTPUT CODEC THREADS
"""
import sys

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from work import COLUMNS, TIME, measured, rows

_, pages, output, codec, threads = sys.argv

UTC = pa.timestamp("us", tz="UTC")
SCHEMA = pa.schema(
    [("prospect_id", pa.string())]
    + [(name, UTC if form is TIME else pa.string()) for name, form, _, _ in COLUMNS]
    + [("event_date", pa.date32()), ("extra_json", pa.string())]
)
KEYS = pa.schema([SCHEMA.field("event_type"), SCHEMA.field("event_date")])
BATCH = 50_000


def batches():
    batch = []
    for row in rows(pages):
        batch.append(row)
        if len(batch) == BATCH:
            yield pa.RecordBatch.from_pylist(batch, schema=SCHEMA)
            batch = []
    yield pa.RecordBatch.from_pylist(batch, schema=SCHEMA)


pa.set_cpu_count(int(threads))
with measured():
    table = pa.Table.from_batches(batches(), schema=SCHEMA)
    table = table.take(pc.sort_indices(table, [("event_time", "ascending"), ("prospect_id", "ascending")]))
    form = ds.ParquetFileFormat()
    ds.write_dataset(
        table, output, format=form, file_options=form.make_write_options(compression=codec),
        partitioning=ds.partitioning(KEYS, flavor="hive"), use_threads=False,  # or the order is lost
    )
