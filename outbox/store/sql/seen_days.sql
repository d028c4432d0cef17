-- What was counted of the objectives, by day: one bar each of the small charts. Reads the newest 30
-- days of minutes in the order of their key, as far as they are counted.
SELECT m.slo, date_trunc('day', m.minute, 'UTC') AS day, m.outcome, sum(m.n)::bigint AS n
FROM rollup_minute m JOIN rollup_head h ON h.shard = 0 AND h.slo = m.slo AND m.minute < h.until
WHERE m.shard = 0 AND m.minute >= date_trunc('day', now(), 'UTC') - %(days)s * interval '1 day'
  AND m.slo = ANY(%(slos)s)
GROUP BY 1, 2, 3
