-- Append-only, and before anything moves: a stale result may be a real message. A settle that is
-- run again after a lost COMMIT finds its attempts already there: or waits for them, should the
-- first run still be alive at the server, and so the rows come in one order, as all that collide.
INSERT INTO attempt (shard, notification, fence, ordinal, step, try, what, channel, provider, sender,
                     result, code, detail, provider_id, stale, at, latency_ms)
SELECT %(shard)s, r.notification, r.fence, r.ordinal, r.step, r.try, r.what, r.channel, r.provider, r.sender,
       r.result, r.code, r.detail, r.provider_id,
       NOT EXISTS (SELECT FROM due d WHERE d.shard = %(shard)s AND d.seq = r.seq
                   AND d.fence = r.fence AND d.owner = r.token),
       r.at, r.latency_ms
FROM json_to_recordset(%(rows)s::json) AS r (
  seq bigint, token uuid, notification uuid, fence integer, ordinal smallint, step smallint, try smallint,
  what text, channel text, provider text, sender smallint, result text, code text, detail text,
  provider_id text, at timestamptz, latency_ms integer)
ORDER BY r.notification, r.fence, r.ordinal
ON CONFLICT DO NOTHING
