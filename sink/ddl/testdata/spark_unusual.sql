CREATE TABLE IF NOT EXISTS `odd``name` (
  `from` STRING, -- it's `that`
  `Order` TIMESTAMP,
  `from_` DATE,
  `group` DATE
)
USING PARQUET
PARTITIONED BY (`group`)
LOCATION 'file:///it\'s a lake/50% [new]?/*\\';

-- After every change of the lake:
MSCK REPAIR TABLE `odd``name` SYNC PARTITIONS;
