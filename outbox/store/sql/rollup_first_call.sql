-- Notifications of the safety lane accepted in these minutes, and when the first call was made.
SELECT date_trunc('minute', n.created_at, 'UTC'),
       CASE WHEN first.at < n.created_at + interval '1 second' THEN 'prompt'
            WHEN first.at IS NOT NULL THEN 'slow'
            WHEN n.state = 'cancelled' THEN 'withdrawn'
            WHEN n.state = 'undeliverable' THEN 'no_channel'
            ELSE 'never' END,
       n.kind, '', count(*)
FROM notification n
CROSS JOIN LATERAL (
  SELECT min(a.at) AS at FROM attempt a
  WHERE a.shard = n.shard AND a.notification = n.id AND a.what IN ('send', 'skip')
    AND a.stored_at < date_trunc('minute', n.created_at, 'UTC') + interval '1 minute' + %(after)s) first
WHERE n.created_at >= %(from)s AND n.created_at < %(until)s AND n.id >= %(low_id)s
  AND n.lane = 0 AND n.clears IS NULL AND n.kind <> 'checkin.all_clear' AND n.kind NOT LIKE 'canary.%%'
GROUP BY 1, 2, 3
