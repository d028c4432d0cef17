-- state is 'open', or already final when the event was overtaken before it came.
INSERT INTO notification (shard, id, event, subject, recipient, kind, lane, plan, template, locale,
                          content, state, reason, expires_at, final_at)
SELECT shard, id, event, subject, recipient, kind, lane, decode(plan, 'base64'), template, locale,
       decode(content, 'base64'), state, reason, now() + expires_after_s * interval '1 second',
       CASE WHEN state = 'open' THEN NULL ELSE now() END
FROM json_to_recordset(%(rows)s::json) AS r (
  shard smallint, id uuid, event uuid, subject text, recipient text, kind text, lane smallint, plan text,
  template text, locale text, content text, state text, reason text, expires_after_s integer)
