-- Recipients of one shard, in order of their ids, whose push nobody has heard to work for days, nor
-- asked for: the app neither registered nor acknowledged anything, and no proof is under way.
SELECT d.recipient
FROM (SELECT recipient FROM device
      WHERE shard = %(shard)s AND recipient > %(after)s AND dead_at IS NULL
      GROUP BY recipient HAVING max(seen_at) < now() - %(age)s) d
WHERE NOT EXISTS (
    SELECT FROM notification n JOIN receipt r ON r.shard = n.shard AND r.notification = n.id
    WHERE n.recipient = d.recipient AND n.id >= %(low)s AND r.notification >= %(low)s
      AND r.source = 'app' AND r.rank >= 9)
  AND NOT EXISTS (
    SELECT FROM notification n WHERE n.recipient = d.recipient AND n.id >= %(low)s AND n.kind = %(proof)s)
ORDER BY d.recipient LIMIT %(limit)s
