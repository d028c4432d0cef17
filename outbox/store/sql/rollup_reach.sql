-- Notifications to people accepted in these minutes, and what was known of each a while later: whether
-- anybody was called, by what it began, by what it came, how soon, or why not, and in which country. Read by the pages,
-- for what is not counted yet too; commands to Stripe and to devices are no notifications to anybody.
SELECT date_trunc('minute', n.created_at, 'UTC'),
       CASE WHEN n.state = 'delivered' THEN 'delivered' WHEN n.state = 'cancelled' THEN 'withdrawn'
            WHEN n.final_at IS NULL THEN 'open' ELSE 'missed' END,
       n.kind,
       CASE WHEN called.sent THEN 'sent' ELSE '' END || '/'
         || coalesce(json_extract_path_text(convert_from(n.plan, 'UTF8')::json, 'steps', '0', 'channel'), '') || '/'
         || CASE WHEN n.state = 'delivered' THEN coalesce(n.channel, '') ELSE '' END || '/'
         || CASE WHEN n.state = 'delivered' THEN
              CASE WHEN n.final_at <= n.created_at + interval '10 seconds' THEN '10'
                   WHEN n.final_at <= n.created_at + interval '1 minute' THEN '60'
                   WHEN n.final_at <= n.created_at + interval '5 minutes' THEN '300'
                   WHEN n.final_at <= n.created_at + interval '10 minutes' THEN '600' ELSE 'late' END
            WHEN n.state NOT IN ('open', 'cancelled') THEN coalesce(n.reason, '') ELSE '' END || '/'
         || coalesce(n.country, ''),
       count(*)
FROM notification n
CROSS JOIN LATERAL (
  -- A step without an address leaves an attempt too (no_number, no_device); no call was made.
  SELECT coalesce(bool_or(a.code IS NULL OR NOT starts_with(a.code, 'no_')), false) AS sent FROM attempt a
  WHERE a.shard = n.shard AND a.notification = n.id AND a.what = 'send'
    AND a.notification >= %(near_id)s AND a.notification < %(beyond_id)s) called
WHERE n.shard = ANY(%(shards)s) AND n.id >= %(near_id)s AND n.id < %(beyond_id)s
  AND n.created_at >= %(from)s AND n.created_at < %(until)s
  AND n.kind NOT LIKE 'device.%%' AND n.kind NOT LIKE 'canary.%%'
  AND (n.kind NOT LIKE 'billing.%%' OR n.kind LIKE 'billing.notice.%%')
GROUP BY 1, 2, 3, 4
