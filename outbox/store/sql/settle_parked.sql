-- The due row stays, at infinity; the notification says why it needs a person.
UPDATE notification n SET state = 'parked', reason = r.reason
FROM json_to_recordset(%(rows)s::json) AS r (seq bigint, notification uuid, fence integer, token uuid, reason text)
WHERE n.shard = %(shard)s AND n.id = r.notification AND n.state = 'open'
  AND EXISTS (SELECT FROM due d WHERE d.shard = %(shard)s AND d.seq = r.seq AND d.fence = r.fence AND d.owner = r.token)
