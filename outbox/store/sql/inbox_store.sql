-- A repetition is recognised by the unique key and changes nothing. Sorted, as all that may collide.
INSERT INTO inbox (shard, id, provider, said, lane, body)
SELECT shard, id, provider, said, lane, decode(body, 'base64')
FROM json_to_recordset(%(rows)s::json) AS r (
  shard smallint, id uuid, provider text, said text, lane smallint, body text)
ON CONFLICT (shard, provider, said) DO NOTHING
RETURNING id
