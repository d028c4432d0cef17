-- Empties what these notifications said, and to which number; of those that were addressed to the person who
-- is erased, the keyed hash of the number too. What is unfinished stays: its end comes first.
UPDATE notification SET content = '', content_dropped_at = coalesce(content_dropped_at, now()),
       phone_hash = CASE WHEN %(theirs)s THEN NULL ELSE phone_hash END
WHERE shard = %(shard)s AND id = ANY(%(ids)s) AND id BETWEEN %(low_id)s AND %(high_id)s AND final_at IS NOT NULL
