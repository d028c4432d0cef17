-- Makes the rows of this minute and of the one before, so that they can be locked; in one order for
-- everybody. What is there already is not written again: that would leave a dead row each time.
INSERT INTO usage_minute (shard, key, minute, n)
SELECT r.shard, decode(r.key, 'base64'), m.minute, 0
FROM json_to_recordset(%(rows)s::json) AS r (shard smallint, key text)
CROSS JOIN (VALUES (date_trunc('minute', now()) - interval '1 minute'), (date_trunc('minute', now()))) m (minute)
ORDER BY r.shard, 2, m.minute
ON CONFLICT (shard, key, minute) DO NOTHING
