-- Whole minutes: what was counted in a part of the oldest one counts until that is over.
SELECT u.key,
       (coalesce(sum(u.n) FILTER (WHERE u.minute = date_trunc('minute', now())), 0))::integer,
       (coalesce(sum(u.n) FILTER (WHERE u.minute >= date_trunc('minute', now()) - interval '10 minutes'), 0))::integer,
       sum(u.n)::integer
FROM usage_minute u
JOIN json_to_recordset(%(rows)s::json) AS r (shard smallint, key text)
  ON u.shard = r.shard AND u.key = decode(r.key, 'base64')
WHERE u.minute >= date_trunc('minute', now()) - interval '60 minutes'
GROUP BY u.key
