-- Kept for a while after it was applied, so that a repetition is recognised; but not with the number of
-- somebody whose notification has lost it already.
UPDATE inbox i SET done_at = now(), note = r.note, body = CASE WHEN r.dropped THEN '' ELSE i.body END
FROM json_to_recordset(%(rows)s::json) AS r (id uuid, note text, dropped boolean)
WHERE i.shard = %(shard)s AND i.id = r.id
