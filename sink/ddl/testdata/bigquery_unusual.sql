CREATE OR REPLACE EXTERNAL TABLE `project.dataset.odd\`name` (
  `from` STRING, -- it's `that`
  `Order` TIMESTAMP,
  from_ DATE
)
WITH PARTITION COLUMNS (`group` DATE)
OPTIONS (
  description = 'It\'s "odd", \\n back\\slashed and of\ntwo lines',
  format = 'PARQUET',
  uris = ['gs://bucket/it\'s a \\ prefix/odd/*.parquet'],
  hive_partition_uri_prefix = 'gs://bucket/it\'s a \\ prefix/odd',
  require_hive_partition_filter = false
);
