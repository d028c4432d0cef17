-- Steps by one channel whose first call was stored in these minutes, and what was known of each when
-- its minute was closed. Judged by stored_at alone, so that counting later gives the same figures.
-- Facts lie in the order in which they came, and low_id prunes to the partitions of plans that may
-- still run: nothing else is read, however much there is.
WITH begun AS MATERIALIZED (
  SELECT DISTINCT ON (a.shard, a.notification, a.step)
         a.shard, a.notification, a.step, date_trunc('minute', a.stored_at, 'UTC') AS minute
  FROM attempt a
  WHERE a.stored_at >= %(from)s AND a.stored_at < %(until)s AND a.notification >= %(low_id)s
    AND a.channel = %(channel)s AND a.what IN ('send', 'skip')
    AND NOT EXISTS (
      SELECT FROM attempt b
      WHERE b.shard = a.shard AND b.notification = a.notification AND b.step = a.step
        AND b.channel = a.channel AND b.what IN ('send', 'skip') AND b.stored_at < %(from)s)
  ORDER BY a.shard, a.notification, a.step, a.stored_at),
known AS (
  SELECT b.minute, n.kind, n.country,
         n.channel_needs_word, heard.delivered, heard.code AS heard_code, heard.result AS heard_result,
         called.taken, called.unknown, called.result, called.code
  FROM begun b
  JOIN LATERAL (
    SELECT n.kind, n.country, %(channel)s = 'sms'
           OR json_extract_path_text(convert_from(n.plan, 'UTF8')::json, 'steps', b.step::text, 'receipt_within_s')
              IS NOT NULL AS channel_needs_word
    FROM notification n
    WHERE n.shard = b.shard AND n.id = b.notification
      AND n.kind NOT LIKE 'canary.%%' AND n.kind NOT LIKE 'device.%%') n ON true
  CROSS JOIN LATERAL (
    SELECT bool_or(r.rank >= 9) AS delivered,
           (array_agg(r.result ORDER BY r.stored_at DESC) FILTER (WHERE r.rank = 8))[1] AS result,
           (array_agg(r.code ORDER BY r.stored_at DESC) FILTER (WHERE r.rank = 8))[1] AS code
    FROM receipt r
    WHERE r.shard = b.shard AND r.notification = b.notification AND r.step = b.step
      AND r.stored_at < b.minute + interval '1 minute' + %(after)s) heard
  CROSS JOIN LATERAL (
    SELECT bool_or(a.result IN ('accepted', 'warning')) AS taken,
           bool_or(a.result = 'outcome_unknown') AS unknown,
           (array_agg(a.result ORDER BY a.fence DESC, a.ordinal)
              FILTER (WHERE a.result NOT IN ('accepted', 'warning') AND a.what <> 'ask'))[1] AS result,
           (array_agg(a.code ORDER BY a.fence DESC, a.ordinal)
              FILTER (WHERE a.result NOT IN ('accepted', 'warning') AND a.what <> 'ask'))[1] AS code
    FROM attempt a
    WHERE a.shard = b.shard AND a.notification = b.notification AND a.step = b.step
      AND a.stored_at < b.minute + interval '1 minute' + %(after)s) called),
judged AS (
  SELECT minute, kind, country,
         CASE WHEN delivered THEN 'delivered'
              WHEN taken AND NOT channel_needs_word THEN 'accepted'
              WHEN coalesce(heard_result, CASE WHEN NOT coalesce(taken, false) THEN result END)
                   IN ('channel_final', 'recipient_suppressed') THEN 'recipient'
              WHEN heard_result IS NOT NULL THEN 'refused'
              WHEN taken OR unknown THEN 'unknown'
              WHEN result IN ('content_final', 'sender_fault', 'configuration_fault') THEN 'refused'
              ELSE 'unsent' END AS outcome,
         coalesce(heard_code, code) AS code
  FROM known),
late AS (
  SELECT date_trunc('minute', r.stored_at, 'UTC') AS minute, n.kind
  FROM receipt r
  JOIN notification n ON n.shard = r.shard AND n.id = r.notification
  CROSS JOIN LATERAL (
    SELECT date_trunc('minute', min(a.stored_at), 'UTC') AS minute FROM attempt a
    WHERE a.shard = r.shard AND a.notification = r.notification AND a.step = r.step
      AND a.channel = %(channel)s AND a.what IN ('send', 'skip')) first
  WHERE r.stored_at >= %(from)s AND r.stored_at < %(until)s AND r.notification >= %(low_id)s
    AND r.rank >= 9 AND r.source = %(source)s
    AND n.kind NOT LIKE 'canary.%%' AND n.kind NOT LIKE 'device.%%'
    AND r.stored_at >= first.minute + interval '1 minute' + %(after)s
    AND NOT EXISTS (
      SELECT FROM receipt e
      WHERE e.shard = r.shard AND e.notification = r.notification AND e.step = r.step
        AND e.rank >= 9 AND (e.stored_at, e.said) < (r.stored_at, r.said)))
SELECT minute, outcome, kind,
       -- Whose fault it was stands before the @, the country after it.
       CASE WHEN outcome IN ('refused', 'recipient', 'unsent') THEN coalesce(code, '') ELSE '' END
         || coalesce('@' || country, ''), count(*)
FROM judged GROUP BY 1, 2, 3, 4
UNION ALL
SELECT minute, 'late', kind, '', count(*) FROM late GROUP BY 1, 2, 3
