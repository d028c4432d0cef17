-- Sent or not, the row is there: both are checked, and answered, in the same way.
INSERT INTO verification (shard, id, phone_hash, country, caller, code_hash, checks_left, expires_at, notification, refused)
SELECT shard, id, decode(phone_hash, 'base64'), country, caller, decode(code_hash, 'base64'), checks_left,
       now() + holds_s * interval '1 second', notification, refused
FROM json_to_recordset(%(rows)s::json) AS r (
  shard smallint, id uuid, phone_hash text, country text, caller text, code_hash text,
  checks_left smallint, holds_s float8, notification uuid, refused text)
ON CONFLICT (shard, id) DO NOTHING
