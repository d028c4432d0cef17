-- Notifications whose whole life a pass looks at: what was stored, ended, called or heard of since the
-- pass before, and in turn one of 256 parts of what is not final. Each part is an index scan.
SELECT array_agg(id) FROM (
  SELECT id FROM notification
  WHERE shard = ANY(%(shards)s) AND final_at IS NULL AND get_byte(uuid_send(id), 14) = %(turn)s
  UNION SELECT id FROM notification WHERE shard = ANY(%(shards)s) AND created_at >= %(since)s
  UNION SELECT id FROM notification WHERE shard = ANY(%(shards)s) AND final_at >= %(since)s
  UNION SELECT notification FROM attempt WHERE shard = ANY(%(shards)s) AND stored_at >= %(since)s
  UNION SELECT notification FROM receipt WHERE shard = ANY(%(shards)s) AND stored_at >= %(since)s) touched
