-- Each thing said is kept once, whatever it moves.
INSERT INTO receipt (shard, notification, source, said, fence, step, provider_id, status, code, rank, at, result)
SELECT %(shard)s, notification, source, said, fence, step, provider_id, status, code, rank, at, result
FROM json_to_recordset(%(rows)s::json) AS r (
  notification uuid, source text, said text, fence integer, step smallint, provider_id text, status text,
  code text, rank smallint, at timestamptz, result text)
ON CONFLICT DO NOTHING
