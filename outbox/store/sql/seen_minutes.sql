-- Counted minutes of a window in bars of equal width: by the key of the table, in one range. Minutes
-- that no relay has counted hold only what gateways told of them, which no other statement tells.
SELECT m.slo, date_bin(%(bucket)s, m.minute, '2000-01-01 00:00+00') AS bucket,
       m.outcome, m.kind, m.code, sum(m.n)::bigint AS n
FROM rollup_minute m
WHERE m.shard = 0 AND m.minute >= %(since)s AND m.slo = ANY(%(slos)s)
GROUP BY 1, 2, 3, 4, 5
