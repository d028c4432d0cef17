-- How things stand at this moment: one row for each measure and label of observability/slos.toml. Each
-- part reads a few rows by an index, or a bounded number of them: it is asked every few seconds.
SELECT 'safety_unresolved', '', count(*)::float8 FROM (
  SELECT FROM due d JOIN notification n ON n.shard = d.shard AND n.id = d.notification
  WHERE d.shard = ANY(%(shards)s) AND d.lane = 0 AND n.kind NOT LIKE 'canary.%%'
    AND n.created_at < now() - CASE WHEN n.kind = 'checkin.all_clear' THEN interval '10 minutes'
                                    ELSE interval '3 minutes' END
  LIMIT 10000) x
UNION ALL
SELECT 'parked', '', count(*)::float8 FROM (
  SELECT FROM due d WHERE d.shard = ANY(%(shards)s) AND d.lane IN (0, 1, 2, 3) AND d.due_at = 'infinity'
  LIMIT 10000) x
UNION ALL
-- By the reason: the provider that refused and its code, or that no sender of ours is left. Those of the newest hour, as a refusal that
-- somebody left lying says nothing about now.
SELECT 'configuration_faults', p.provider, count(x.provider)::float8
FROM unnest(%(refusing)s::text[]) p(provider)
LEFT JOIN (
  SELECT CASE n.reason WHEN 'no_sender' THEN 'twilio' ELSE split_part(n.reason, '_', 1) END AS provider
  FROM due d JOIN notification n ON n.shard = d.shard AND n.id = d.notification
  WHERE d.shard = ANY(%(shards)s) AND d.lane IN (0, 1, 2, 3) AND d.due_at = 'infinity'
    AND n.id >= %(low_id)s AND n.created_at > now() - interval '1 hour'
  LIMIT 10000) x ON x.provider = p.provider
GROUP BY p.provider
UNION ALL
-- Only while canaries are sent. Since the newest that came back; when none has, since the oldest.
SELECT 'canary_age_s', substr(kind, 8),
       extract(epoch FROM now() - coalesce(max(created_at) FILTER (WHERE state = 'delivered'), min(created_at)))::float8
FROM notification
WHERE shard = %(canary_shard)s AND subject = %(canary)s AND id >= %(low_id)s
GROUP BY kind HAVING max(created_at) > now() - interval '30 minutes'
UNION ALL
SELECT 'breakers_open', b.provider, count(*) FILTER (WHERE
  (SELECT count(*) FROM breaker_vote v JOIN relay r ON r.shard = 0 AND r.id = v.relay
   WHERE v.shard = 0 AND v.provider = b.provider AND v.sender = b.sender
     AND r.seen_at > now() - interval '15 seconds'
     AND (b.closed_at IS NULL OR v.opened_at > b.closed_at)) * 2
  > (SELECT greatest(1, count(*)) FROM relay WHERE shard = 0 AND seen_at > now() - interval '15 seconds'))::float8
FROM breaker b WHERE b.shard = 0 GROUP BY b.provider
UNION ALL
SELECT 'relays', '', count(*)::float8 FROM relay WHERE shard = 0 AND seen_at > now() - interval '30 seconds'
UNION ALL
SELECT 'gateways', '', coalesce(max(n), 0)::float8 FROM rollup_minute
WHERE shard = 0 AND minute > now() - interval '3 minutes' AND slo = 'events' AND outcome = 'alive'
UNION ALL
SELECT 'forged', p.provider, coalesce(sum(m.n), 0)::float8
FROM unnest(%(providers)s::text[]) p(provider)
LEFT JOIN rollup_minute m ON m.shard = 0 AND m.minute > now() - interval '10 minutes'
  AND m.slo = 'webhooks' AND m.outcome = 'forged' AND m.kind = p.provider
GROUP BY p.provider
UNION ALL
SELECT 'oldest_due_s', name, coalesce(extract(epoch FROM now() - min(due.due_at)), 0)::float8
FROM unnest(%(lanes)s::text[]) WITH ORDINALITY named(name, place)
JOIN lane k ON k.lane = named.place - 1
LEFT JOIN LATERAL (
  SELECT d.due_at FROM due d
  WHERE d.shard = k.shard AND d.lane = k.lane AND d.due_at BETWEEN k.low AND now()
  ORDER BY d.due_at LIMIT 1) due ON true
GROUP BY name
UNION ALL
SELECT 'inbox_oldest_s', '', coalesce(extract(epoch FROM now() - min(i.since)), 0)::float8
FROM (SELECT coalesce(i.redriven_at, i.received_at) AS since FROM inbox i WHERE i.done_at IS NULL LIMIT 10000) i
UNION ALL
SELECT 'partition_days', '', pruuf_partition_days()::float8
UNION ALL
SELECT 'oldest_transaction_s', '', pruuf_oldest_transaction_s()
UNION ALL
SELECT 'audit_offenders', '', coalesce(sum((each.value)::float8), 0) FROM audit_pass p, jsonb_each_text(p.offenders) each
UNION ALL
SELECT 'rollup_behind_s', h.slo,
       greatest(0, extract(epoch FROM now() - h.until) - 60 - a.after_s - %(margin_s)s)::float8
FROM rollup_head h JOIN unnest(%(slos)s::text[], %(after_s)s::float8[]) a(slo, after_s) ON a.slo = h.slo
WHERE h.shard = 0
