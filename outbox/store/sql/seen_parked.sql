-- What waits for a person, by kind and reason: at most so many due rows at infinity, by their index.
SELECT n.kind, coalesce(n.reason, ''), count(*)::integer, min(n.created_at)
FROM (SELECT shard, notification FROM due
      WHERE shard = ANY(%(shards)s) AND lane = ANY(%(lanes)s) AND due_at = 'infinity' LIMIT %(most)s) d
JOIN notification n ON n.shard = d.shard AND n.id = d.notification
GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT 50
