-- Where is something due? No locks. Starts at the low-water mark of each queue: below it only
-- dead rows lie, which an index scan would otherwise step over one by one.
SELECT k.shard, k.lane, k.low
FROM lane k CROSS JOIN LATERAL (
  SELECT due_at FROM due
  WHERE due.shard = k.shard AND due.lane = k.lane AND due.due_at BETWEEN k.low AND now()
  ORDER BY due_at LIMIT 1) first
WHERE k.lane = ANY(%(lanes)s)
ORDER BY k.lane, first.due_at
