-- Each answer lists the notifications that its event made: all of them are there, as they were
-- promised, and nothing else is but the calls for the person on call, which nobody was promised.
WITH promised AS MATERIALIZED (
  SELECT k.event, get_byte(uuid_send(k.event), 15)::smallint AS shard, CASE WHEN pg_input_is_valid(p->>'id', 'uuid') THEN (p->>'id')::uuid END AS id, p->>'recipient' AS recipient,
         p->>'kind' AS kind, array_position(ARRAY['safety', 'codes', 'transactional', 'bulk'], p->>'lane') - 1 AS lane
  FROM event_key k CROSS JOIN LATERAL json_array_elements(CASE WHEN k.answer IS JSON ARRAY THEN k.answer::json ELSE '[]' END) p
  WHERE k.event >= %(low)s AND k.created_at >= %(since)s)
SELECT ARRAY[wrong], count(*), (array_agg(id ORDER BY id))[1:%(most)s::integer] FROM (
  SELECT CASE WHEN n.id IS NULL THEN 'promised_missing' ELSE 'not_as_promised' END AS wrong,
         coalesce(p.id, p.event)::text AS id
  FROM promised p LEFT JOIN notification n ON n.shard = p.shard AND n.id = p.id
  WHERE n.id IS NULL OR n.event <> p.event OR n.recipient <> p.recipient OR n.kind <> p.kind OR n.lane <> p.lane
  UNION ALL
  SELECT 'never_promised', n.id::text
  FROM notification n
  JOIN event e ON e.shard = n.shard AND e.id = n.event
  LEFT JOIN promised p ON p.shard = n.shard AND p.id = n.id
  WHERE n.id >= %(low)s AND n.created_at >= %(since)s AND e.id >= %(low)s AND e.accepted_at >= %(since)s AND p.id IS NULL AND n.kind <> 'operator.page'
    AND NOT (e.source = 'pruuf' AND e.source_id = e.id::text)
    -- Nor any more by a key whose time is over, and which is gone.
    AND NOT (e.accepted_at < now() - interval '30 days' AND e.type <> 'checkin.missed' AND e.type NOT LIKE 'billing.%%'
             AND NOT EXISTS (SELECT FROM event_key k WHERE k.event = e.id
                             AND k.shard = ANY('{0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15}') AND k.source = e.source AND k.source_id = e.source_id))
  UNION ALL
  SELECT 'key_of_other_event', k.event::text FROM event_key k
  WHERE k.event >= %(low)s AND k.created_at >= %(since)s AND k.answer IS NOT JSON ARRAY) found
GROUP BY wrong
