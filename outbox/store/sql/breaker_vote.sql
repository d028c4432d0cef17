-- A relay's own votes, each with its own times. opened_at moves with each opening: a probe that went
-- well takes back the votes before it, never the relapse after it.
INSERT INTO breaker_vote AS v (shard, provider, sender, relay, opened_at, open_until, why)
SELECT 0, provider, sender, %(relay)s, now() - opened_s * interval '1 second',
       now() + open_s * interval '1 second', why
FROM json_to_recordset(%(rows)s::json) AS r (
  provider text, sender text, open_s float8, opened_s float8, why text)
ON CONFLICT (shard, provider, sender, relay)
DO UPDATE SET opened_at = excluded.opened_at, open_until = excluded.open_until, why = excluded.why
