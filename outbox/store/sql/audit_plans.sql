-- What only the plan can judge, by the few distinct plans that there are: read by the code, as a
-- plan may be anything.
SELECT n.plan, n.lane, n.steps_taken, d.step,
       CASE WHEN n.final_at IS NULL AND x.notification IS NULL
            THEN extract(epoch FROM n.expires_at - n.created_at)::float8 END AS expires_after_s,
       max(extract(epoch FROM d.receipt_until - now())::float8) AS receipt_left_s,
       count(*), (array_agg(n.id))[1:%(most)s::integer]
FROM notification n
LEFT JOIN due d ON d.shard = n.shard AND d.notification = n.id
LEFT JOIN (SELECT DISTINCT shard, notification FROM action WHERE shard = ANY(%(shards)s)) x
  ON x.shard = n.shard AND x.notification = n.id
WHERE n.shard = ANY(%(shards)s) AND (%(ids)s::uuid[] IS NULL OR n.id = ANY(%(ids)s)) AND n.id >= %(low)s
GROUP BY 1, 2, 3, 4, 5
