-- due_at is this transaction's now(): never older than a low-water mark can be (see peek.sql).
INSERT INTO due (shard, notification, lane, step, work)
SELECT shard, notification, lane, step, work
FROM json_to_recordset(%(rows)s::json) AS r (
  shard smallint, notification uuid, lane smallint, step smallint, work smallint)
