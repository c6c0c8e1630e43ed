CREATE OR REPLACE VIEW "odd""name" AS
SELECT
  "from",
  "Order",
  "from_",
  "group"
FROM read_parquet(
  '/it''s a lake/50% [[]new][?]/[*]/**/*.parquet',
  hive_partitioning = true,
  hive_types = {'group': DATE},
  union_by_name = false
);
