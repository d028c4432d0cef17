-- Only for missed check-ins whose notifications differ from what was prepared before the
-- Member's row was locked (a Contact already told, or nobody to tell).
UPDATE event_key k SET answer = r.answer
FROM json_to_recordset(%(rows)s::json) AS r (shard smallint, source text, source_id text, answer text)
WHERE k.shard = r.shard AND k.source = r.source AND k.source_id = r.source_id
