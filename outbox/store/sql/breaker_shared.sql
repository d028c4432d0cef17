-- One relay with a dead line must not stop all: open for everybody only by a majority of live relays.
-- A probe that went well takes back the votes before it, also of those who have not heard of it yet.
WITH live AS (
  SELECT id FROM relay WHERE shard = 0 AND seen_at > now() - interval '15 seconds')
SELECT b.provider, b.sender,
       (SELECT count(*) FROM breaker_vote v JOIN live ON live.id = v.relay
        WHERE v.shard = 0 AND v.provider = b.provider AND v.sender = b.sender
          AND (b.closed_at IS NULL OR v.opened_at > b.closed_at)) * 2
         > (SELECT greatest(1, count(*)) FROM live),
       EXISTS (SELECT FROM breaker_vote v
               WHERE v.shard = 0 AND v.provider = b.provider AND v.sender = b.sender
                 AND v.relay = %(relay)s AND b.closed_at > v.opened_at),
       greatest(0, coalesce(extract(epoch FROM b.hold_until - now()), 0))::float8,
       -- By a person; who holds FCM holds its topics, whose name begins with FCM's.
       coalesce((SELECT extract(epoch FROM max(h.until) - now()) FROM provider_hold h
                 WHERE h.shard = 0 AND h.released_at IS NULL AND h.until > now()
                   AND starts_with(b.provider, h.provider) AND h.sender IN ('', b.sender)), 0)::float8
FROM breaker b WHERE b.shard = 0
