"""dlt: a pipeline to the filesystem destination, in Parquet.

with_dlt.py PAGES OUTPUT CODEC THREADS

The resource yields each event once, since the destination only removes duplicates
from Delta and Iceberg tables. It does not partition plain Parquet either.
"""
import os
import pathlib
import sys

_, pages, output, codec, threads = sys.argv

directory = pathlib.Path(output)
os.environ |= {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "ERROR",
    "NORMALIZE__WORKERS": threads,
    "NORMALIZE__DATA_WRITER__COMPRESSION": codec,
}

import dlt  # noqa: E402, it reads its configuration now
from dlt.destinations import filesystem  # noqa: E402
from work import COLUMNS, TIME, measured, rows  # noqa: E402

HINTS = {name: {"data_type": "timestamp" if form is TIME else "text"} for name, form, _, _ in COLUMNS}
HINTS |= {"prospect_id": {"data_type": "text"}, "event_date": {"data_type": "date"}, "extra_json": {"data_type": "text"}}


@dlt.resource(name="events", write_disposition="append", columns=HINTS)
def events():
    batch = []
    for row in rows(pages):
        batch.append(row)
        if len(batch) == 5_000:
            yield batch
            batch = []
    yield batch


if __name__ == "__main__":  # its workers import this file
    pipeline = dlt.pipeline(
        "bench", destination=filesystem(directory.absolute().as_uri()), dataset_name="lake",
        pipelines_dir=str(directory.with_name(directory.name + ".dlt")),
    )
    with measured():
        pipeline.run(events(), loader_file_format="parquet").raise_on_failed_jobs()
