-- Deletes the due row and finishes the notification in one statement; fenced like every move.
-- The id range lets the update prune to the partitions that are really touched.
WITH r AS MATERIALIZED (
  SELECT * FROM json_to_recordset(%(rows)s::json) AS r (
    seq bigint, token uuid, fence integer, state text, reason text, proof text, channel text, steps smallint)),
locked AS MATERIALIZED (
  SELECT d.seq, d.notification FROM due d
  WHERE d.shard = %(shard)s AND d.seq IN (SELECT seq FROM r)
  ORDER BY d.seq FOR UPDATE),
gone AS (
  DELETE FROM due d USING r JOIN locked USING (seq)
  WHERE d.shard = %(shard)s AND d.seq = r.seq AND d.fence = r.fence AND d.owner = r.token
  RETURNING d.seq, d.notification, r.state, r.reason, r.proof, r.channel, r.steps)
UPDATE notification n SET state = g.state, reason = g.reason, proof = g.proof, channel = g.channel,
       steps_taken = g.steps, final_at = now()
FROM gone g
WHERE n.shard = %(shard)s AND n.id = g.notification AND n.id BETWEEN %(low_id)s AND %(high_id)s
RETURNING g.seq
