-- Empties the applied callbacks that told of these notifications: each left a receipt, which says by what
-- unique key. One that comes later is emptied as it is applied: see `inbox_done`.
UPDATE inbox i SET body = ''
FROM receipt r
WHERE r.shard = %(shard)s AND r.notification = ANY(%(ids)s)
  AND r.notification BETWEEN %(low_id)s AND %(high_id)s
  AND i.shard = %(shard)s AND i.provider = r.source AND i.said = r.notification::text || ':' || r.said
  AND i.done_at IS NOT NULL AND length(i.body) > 0
