-- What every pass looks at beside the lives: callbacks that wait, queues and their marks. Found by an
-- index of what is wrong, or small.
WITH found (wrong, id) AS (
  SELECT 'callback_unapplied', id::text FROM inbox
  WHERE shard = ANY(%(shards)s) AND done_at IS NULL AND coalesce(redriven_at, received_at) < now() - %(unapplied_s)s * interval '1 second'
  UNION ALL
  SELECT CASE WHEN k.shard IS NULL THEN 'lane_missing' ELSE 'lane_mark_too_high' END, s.shard || '/' || l.lane
  FROM unnest(%(shards)s::smallint[]) s(shard) CROSS JOIN generate_series(0, 3) l(lane)
  LEFT JOIN lane k ON k.shard = s.shard AND k.lane = l.lane
  WHERE k.shard IS NULL OR k.low > now()
     OR EXISTS (SELECT FROM due d WHERE d.shard = s.shard AND d.lane = l.lane AND d.due_at < k.low))
SELECT ARRAY[wrong], count(*), (array_agg(id ORDER BY id))[1:%(most)s::integer] FROM found GROUP BY wrong
