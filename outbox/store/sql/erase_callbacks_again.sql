-- As `erase_callbacks`, of all notifications that an erasure has emptied: at its end, when nothing that was
-- applied beside it can be unseen any more.
UPDATE inbox i SET body = ''
FROM notification n JOIN receipt r ON r.shard = n.shard AND r.notification = n.id
WHERE n.recipient = %(recipient)s AND n.content_dropped_at >= %(asked_at)s
  AND i.shard = r.shard AND i.provider = r.source AND i.said = r.notification::text || ':' || r.said
  AND i.done_at IS NOT NULL AND length(i.body) > 0
