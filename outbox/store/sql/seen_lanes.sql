-- How each lane stands: counts of at most so many rows of it by the index of due rows, and its oldest
-- due one from the low-water mark on.
SELECT l.lane, counted.depth, counted.due, counted.in_flight, counted.awaiting, counted.parked, oldest.s
FROM unnest(%(lanes)s::smallint[]) l(lane)
CROSS JOIN LATERAL (
  SELECT count(*)::integer AS depth,
         (count(*) FILTER (WHERE d.due_at <= now() AND d.owner IS NULL))::integer AS due,
         (count(*) FILTER (WHERE d.owner IS NOT NULL))::integer AS in_flight,
         (count(*) FILTER (WHERE d.work IN (1, 3)))::integer AS awaiting,
         (count(*) FILTER (WHERE d.due_at = 'infinity'))::integer AS parked
  FROM (SELECT due_at, owner, work FROM due
        WHERE shard = ANY(%(shards)s) AND lane = l.lane LIMIT %(most)s) d) counted
CROSS JOIN LATERAL (
  SELECT extract(epoch FROM now() - min(first.due_at))::float8 AS s
  FROM lane k CROSS JOIN LATERAL (
    SELECT d.due_at FROM due d
    WHERE d.shard = k.shard AND d.lane = k.lane AND d.due_at BETWEEN k.low AND now()
    ORDER BY d.due_at LIMIT 1) first
  WHERE k.lane = l.lane) oldest
ORDER BY l.lane
