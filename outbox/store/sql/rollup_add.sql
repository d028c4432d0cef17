-- Adds to minutes; sorted, as gateways and a relay may add to the same ones.
INSERT INTO rollup_minute AS m (shard, minute, slo, outcome, kind, code, n)
SELECT 0, coalesce(r.minute, date_trunc('minute', now(), 'UTC')), r.slo, r.outcome, r.kind, r.code, r.n
FROM json_to_recordset(%(rows)s::json) AS r (
  minute timestamptz, slo text, outcome text, kind text, code text, n bigint)
ORDER BY 2, 3, 4, 5, 6
ON CONFLICT (shard, minute, slo, outcome, kind, code) DO UPDATE SET n = m.n + excluded.n
