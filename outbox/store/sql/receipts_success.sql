-- A success counts whatever its fence: the message is on the handset. It ends what is open and
-- lifts what had been given up; the due row goes, so that a call still in flight settles stale.
WITH r AS MATERIALIZED (
  SELECT * FROM json_to_recordset(%(rows)s::json) AS r (
    notification uuid, proof text, channel text, step smallint)),
locked AS MATERIALIZED (
  SELECT d.seq FROM due d
  WHERE d.shard = %(shard)s AND d.notification IN (SELECT notification FROM r)
  ORDER BY d.seq FOR UPDATE),
gone AS (
  DELETE FROM due d USING locked WHERE d.shard = %(shard)s AND d.seq = locked.seq)
UPDATE notification n SET state = 'delivered', reason = NULL, proof = r.proof, channel = r.channel,
       steps_taken = r.step, final_at = now()
FROM r
WHERE n.shard = %(shard)s AND n.id = r.notification AND n.id BETWEEN %(low_id)s AND %(high_id)s
  AND n.state NOT IN ('delivered', 'cancelled')
RETURNING n.id
