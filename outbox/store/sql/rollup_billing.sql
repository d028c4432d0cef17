-- Commands to Stripe that came to their end in these minutes, and those that were parked by a call in
-- them and still are.
SELECT date_trunc('minute', n.final_at, 'UTC'),
       CASE n.state WHEN 'delivered' THEN 'done' WHEN 'cancelled' THEN 'withdrawn' ELSE 'failed' END,
       n.kind, CASE WHEN n.state IN ('delivered', 'cancelled') THEN '' ELSE coalesce(n.reason, '') END, count(*)
FROM notification n
WHERE n.final_at >= %(from)s AND n.final_at < %(until)s AND n.id >= %(low_id)s AND n.kind LIKE 'billing.%%'
  AND n.kind NOT LIKE 'billing.notice.%%'
GROUP BY 1, 2, 3, 4
UNION ALL
SELECT minute, 'parked', kind, reason, count(*)
FROM (
  SELECT date_trunc('minute', max(a.stored_at), 'UTC') AS minute, n.kind, coalesce(n.reason, '') AS reason
  FROM attempt a JOIN notification n ON n.shard = a.shard AND n.id = a.notification
  WHERE a.stored_at >= %(from)s AND a.stored_at < %(until)s AND a.notification >= %(low_id)s
    AND a.channel = 'stripe' AND n.state = 'parked' AND n.kind LIKE 'billing.%%'
    -- Counted by its newest call, once.
    AND NOT EXISTS (
      SELECT FROM attempt b
      WHERE b.shard = a.shard AND b.notification = a.notification AND b.stored_at >= %(until)s)
  GROUP BY a.shard, a.notification, n.kind, n.reason) parked
GROUP BY 1, 2, 3, 4
