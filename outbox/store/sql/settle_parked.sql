-- The due row stays, at infinity; the notification says why it needs a person. The due row is
-- locked first, as everywhere: fence and owner are then those that the move will find, too.
-- What is withdrawn needs nobody: the move makes it due at once, and the next claim ends it.
WITH r AS MATERIALIZED (
  SELECT * FROM json_to_recordset(%(rows)s::json) AS r (
    seq bigint, notification uuid, fence integer, token uuid, work smallint, reason text)),
locked AS MATERIALIZED (
  SELECT d.seq, d.fence, d.owner, d.cancel FROM due d
  WHERE d.shard = %(shard)s AND d.seq IN (SELECT seq FROM r)
  ORDER BY d.seq FOR NO KEY UPDATE)
UPDATE notification n SET state = 'parked', reason = r.reason
FROM r JOIN locked USING (seq)
WHERE n.shard = %(shard)s AND n.id = r.notification AND n.state = 'open'
  AND locked.fence = r.fence AND locked.owner = r.token
  AND NOT (locked.cancel AND r.work IN (0, 4))
