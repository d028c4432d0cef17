-- Which of these numbers opted out, under any look-up key that they were ever hashed with.
SELECT s.phone_hash FROM suppression s
JOIN json_to_recordset(%(rows)s::json) AS r (shard smallint, phone_hash text)
  ON s.shard = r.shard AND s.phone_hash = decode(r.phone_hash, 'base64')
WHERE s.lifted_at IS NULL
