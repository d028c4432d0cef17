-- Empties what these notifications said, and to which number. What somebody put back to work meanwhile is
-- not final any more, or is so since now: both show under the row's lock, and it keeps its texts.
UPDATE notification SET content = '', content_dropped_at = now()
WHERE shard = %(shard)s AND id = ANY(%(ids)s) AND id BETWEEN %(low_id)s AND %(high_id)s
  AND final_at < %(end)s AND content_dropped_at IS NULL
