-- Empties what invitations by the person who is erased said to others, whose texts name them; and says of which
-- of these events nothing is left to be finished. The bodies of the others stay until then: they tell whose.
WITH emptied AS (
  UPDATE notification SET content = '', content_dropped_at = now()
  WHERE shard = %(shard)s AND event = ANY(%(events)s) AND id >= %(low)s
    AND final_at IS NOT NULL AND content_dropped_at IS NULL)
SELECT e FROM unnest(%(events)s::uuid[]) e
WHERE NOT EXISTS (SELECT FROM notification n WHERE n.shard = %(shard)s AND n.event = e AND n.final_at IS NULL)
