-- Each sender of a provider, and whether a majority of the relays stopped calling it; the same rule as
-- the relays have. A few rows, by primary key; without senders that no relay has said to use any more.
SELECT b.provider, b.sender, votes.n::integer, alive.n::integer, votes.since,
       coalesce(b.probe_until > now(), false),
       CASE WHEN b.hold_until > now() THEN b.hold_until END,
       EXISTS (SELECT FROM provider_hold h
               WHERE h.shard = 0 AND h.released_at IS NULL AND h.until > now()
                 AND starts_with(b.provider, h.provider) AND h.sender IN ('', b.sender))
FROM breaker b
CROSS JOIN LATERAL (
  SELECT count(*) AS n, min(v.opened_at) AS since FROM breaker_vote v
  JOIN relay r ON r.shard = 0 AND r.id = v.relay AND r.seen_at > now() - interval '15 seconds'
  WHERE v.shard = 0 AND v.provider = b.provider AND v.sender = b.sender
    AND (b.closed_at IS NULL OR v.opened_at > b.closed_at)) votes
CROSS JOIN (
  SELECT greatest(1, count(*)) AS n FROM relay
  WHERE shard = 0 AND seen_at > now() - interval '15 seconds') alive
WHERE b.shard = 0
  AND (b.seen_at > now() - interval '5 minutes'
       OR NOT EXISTS (SELECT FROM breaker s WHERE s.shard = 0 AND s.seen_at > now() - interval '5 minutes'))
ORDER BY votes.n * 2 > alive.n DESC, b.provider, b.sender LIMIT 50
