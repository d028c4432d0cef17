-- state is 'open', or already final when the event was overtaken before it came.
INSERT INTO notification (shard, id, event, subject, recipient, kind, lane, plan, template, locale,
                          content, phone_hash, clears, country, state, reason, expires_at, final_at)
SELECT shard, id, event, subject, recipient, kind, lane, decode(plan, 'base64'), template, locale,
       decode(content, 'base64'), decode(phone_hash, 'base64'), clears, country, state, reason,
       now() + expires_after_s * interval '1 second',
       CASE WHEN state = 'open' THEN NULL ELSE now() END
FROM json_to_recordset(%(rows)s::json) AS r (
  shard smallint, id uuid, event uuid, subject text, recipient text, kind text, lane smallint, plan text,
  template text, locale text, content text, phone_hash text, clears uuid, country text, state text,
  reason text, expires_after_s integer)
