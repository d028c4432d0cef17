-- Idempotency keys and their events. A key lies in the shard of (source, source_id), its event in
-- that of the subject, so this is the one statement of the audit that joins across shards; both were
-- written by one transaction, so one snapshot of all shards has both or none.
SELECT ARRAY[wrong], count(*), (array_agg(id ORDER BY id))[1:%(most)s::integer] FROM (
  SELECT CASE WHEN e.id IS NULL THEN 'key_without_event'
              WHEN k.event IS NULL THEN 'event_without_key'
              ELSE 'key_of_other_event' END AS wrong,
         coalesce(e.id, k.event)::text AS id
  FROM (SELECT * FROM event_key WHERE event >= %(low)s AND created_at >= %(since)s) k
  FULL JOIN (SELECT * FROM event WHERE id >= %(low)s AND accepted_at >= %(since)s AND NOT (source = 'pruuf' AND source_id = id::text)) e
    ON e.id = k.event
  -- A key whose time is over may be gone, and only such a one.
  WHERE NOT (k.event IS NULL AND e.accepted_at < now() - interval '30 days'
             AND e.type <> 'checkin.missed' AND e.type NOT LIKE 'billing.%%')
    AND (e.id IS NULL OR k.event IS NULL OR k.source <> e.source OR k.source_id <> e.source_id
     OR k.content_hash <> e.content_hash OR k.created_at <> e.accepted_at
     OR k.expires_at <> k.created_at + interval '30 days'
     OR (k.expires_at IS NOT NULL AND (e.type = 'checkin.missed' OR e.type LIKE 'billing.%%')))) found
GROUP BY wrong
