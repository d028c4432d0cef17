-- Kept for a while after it was applied, so that a repetition is recognised.
UPDATE inbox i SET done_at = now(), note = r.note
FROM json_to_recordset(%(rows)s::json) AS r (id uuid, note text)
WHERE i.shard = %(shard)s AND i.id = r.id
