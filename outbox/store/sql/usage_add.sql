-- The rows of this minute are there, and locked by this transaction: an upsert finds each by its key,
-- where a join would read the whole table.
INSERT INTO usage_minute AS u (shard, key, minute, n)
SELECT shard, decode(key, 'base64'), date_trunc('minute', now()), added
FROM json_to_recordset(%(rows)s::json) AS r (shard smallint, key text, added integer)
ON CONFLICT (shard, key, minute) DO UPDATE SET n = u.n + excluded.n
