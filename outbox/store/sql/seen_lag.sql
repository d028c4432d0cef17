-- How long callbacks waited for their effect, by provider: of each shard the newest few thousand of the
-- window, by primary key. A large window is judged by its newest.
SELECT i.provider, count(*)::integer,
       percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (
         ORDER BY extract(epoch FROM i.done_at - coalesce(i.redriven_at, i.received_at))::float8)
FROM unnest(%(shards)s::smallint[]) s(shard)
CROSS JOIN LATERAL (
  SELECT provider, received_at, redriven_at, done_at FROM inbox
  WHERE inbox.shard = s.shard AND id >= %(low_id)s AND done_at IS NOT NULL
  ORDER BY id DESC LIMIT %(most)s) i
GROUP BY 1 ORDER BY 1
