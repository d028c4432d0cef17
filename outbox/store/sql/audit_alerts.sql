-- One Member, one row: what it says of the open alert follows from events and notifications.
-- A missed check-in that was accepted after the last check-in, and was not superseded, is open.
-- Without members: all of these shards.
WITH e AS (
  SELECT shard, id, type, subject, accepted_at FROM event
  WHERE shard = ANY(%(shards)s) AND type IN ('checkin.missed', 'checkin.confirmed')
    AND (%(members)s::text[] IS NULL OR subject = ANY(%(members)s))),
missed AS (
  SELECT e.shard, e.subject, max(e.accepted_at) AS at FROM e
  WHERE e.type = 'checkin.missed'
    AND EXISTS (SELECT FROM notification n WHERE n.shard = e.shard AND n.event = e.id
                AND n.reason IS DISTINCT FROM 'superseded')
  GROUP BY e.shard, e.subject),
members AS (
  SELECT shard, subject, max(accepted_at) FILTER (WHERE type = 'checkin.confirmed') AS confirmed_at
  FROM e GROUP BY shard, subject),
l AS (
  SELECT * FROM alert
  WHERE shard = ANY(%(shards)s) AND (%(members)s::text[] IS NULL OR member = ANY(%(members)s))),
told AS (
  SELECT l.shard, l.member,
         array_agg(n.recipient ORDER BY t.place) FILTER (WHERE n.id IS NOT NULL) AS recipients,
         coalesce(bool_and(n.id IS NOT NULL AND n.kind = 'checkin.missed' AND n.subject = l.member), true) AS fit
  FROM l CROSS JOIN LATERAL unnest(l.notifications) WITH ORDINALITY t(id, place)
  LEFT JOIN notification n ON n.shard = l.shard AND n.id = t.id
  GROUP BY l.shard, l.member),
judged AS (
  SELECT coalesce(l.member, m.subject) AS id, array_remove(ARRAY[
    CASE WHEN l.member IS NULL THEN 'alert_missing' END,
    CASE WHEN l.member IS NOT NULL AND l.open_event IS NULL AND missed.at > coalesce(m.confirmed_at, '-infinity')
         THEN 'alert_unopened' END,
    CASE WHEN l.open_event IS NOT NULL AND (o.id IS NULL OR o.type <> 'checkin.missed' OR o.subject <> l.member)
         THEN 'alert_event_wrong' END,
    CASE WHEN l.member IS NOT NULL AND (
                NOT coalesce(told.fit, true)
                OR EXISTS (SELECT FROM notification n
                           WHERE n.shard = l.shard AND n.subject = l.member AND n.kind = 'checkin.missed'
                             AND (n.created_at > o.accepted_at OR n.event = o.id)
                             AND coalesce(n.reason NOT IN ('superseded', 'erased'), true) AND n.id <> ALL(l.notifications)))
         THEN 'alert_list_wrong' END,
    CASE WHEN l.told IS DISTINCT FROM coalesce(told.recipients, '{}') THEN 'alert_told_wrong' END,
    CASE WHEN l.page IS DISTINCT FROM p.id THEN 'alert_page_wrong' END,
    CASE WHEN (l.last_checkin_at IS NULL) <> (m.confirmed_at IS NULL) THEN 'checkin_time_wrong' END,
    CASE WHEN greatest(l.last_checkin_at, l.open_due_at) > now() + interval '10 minutes'
         THEN 'from_the_future' END], NULL) AS wrong
  FROM l
  FULL JOIN members m ON m.shard = l.shard AND m.subject = l.member
  LEFT JOIN missed ON missed.shard = l.shard AND missed.subject = l.member
  LEFT JOIN told ON told.shard = l.shard AND told.member = l.member
  LEFT JOIN event o ON o.shard = l.shard AND o.id = l.open_event
  LEFT JOIN notification p ON p.shard = l.shard AND p.event = l.open_event AND p.kind = 'operator.page')
SELECT wrong, count(*), (array_agg(id ORDER BY id))[1:%(most)s::integer]
FROM judged WHERE wrong <> '{}' GROUP BY wrong
