-- What was heard lately about one person: the newest notifications by the index of recipients, then
-- their receipts and refusals by primary key. A refusal without a call is none: it would go on for
-- ever about itself.
WITH mine AS MATERIALIZED (
  SELECT shard, id, phone_hash FROM notification
  WHERE recipient = %(recipient)s AND id >= %(low_id)s
  ORDER BY id DESC LIMIT 1000)
SELECT 'sms', m.phone_hash, r.at, r.code, r.rank >= 9
FROM mine m JOIN receipt r ON r.shard = m.shard AND r.notification = m.id
WHERE r.notification >= %(low_id)s AND r.source = 'twilio' AND (r.rank >= 9 OR r.result = 'channel_final')
UNION ALL
SELECT 'push', NULL, r.at, NULL, true
FROM mine m JOIN receipt r ON r.shard = m.shard AND r.notification = m.id
WHERE r.notification >= %(low_id)s AND r.source = 'app' AND r.rank >= 9
UNION ALL
SELECT 'sms', m.phone_hash, a.at, a.code, false
FROM mine m JOIN attempt a ON a.shard = m.shard AND a.notification = m.id
WHERE a.notification >= %(low_id)s AND a.channel = 'sms' AND a.what = 'send'
  AND a.result = 'channel_final' AND a.latency_ms > 0
