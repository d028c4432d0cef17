-- Every notification with its event, due row, attempts and receipts, in one pass: the
-- joins are full ones, so that an orphan shows on whichever side it is. Grouped at once, so that
-- a million lives become a few rows: figures where all is well, names where it is not.
-- Without ids: all of these shards. Sent unprepared, so that the plan is made for what is given.
WITH n AS (
  SELECT * FROM notification
  WHERE shard = ANY(%(shards)s) AND (%(ids)s::uuid[] IS NULL OR id = ANY(%(ids)s)) AND id >= %(low)s),
d AS (
  SELECT * FROM due
  WHERE shard = ANY(%(shards)s) AND (%(ids)s::uuid[] IS NULL OR notification = ANY(%(ids)s)) AND notification >= %(low)s),
a AS (
  SELECT shard, notification, max(fence) AS fence, max(step) AS step,
         bool_or(what = 'ask' OR (what = 'send' AND result IN ('accepted', 'warning', 'outcome_unknown'))) AS maybe_sent,
         array_agg(DISTINCT channel) FILTER (WHERE result IN ('accepted', 'warning')) AS took
  FROM attempt
  WHERE shard = ANY(%(shards)s) AND (%(ids)s::uuid[] IS NULL OR notification = ANY(%(ids)s)) AND notification >= %(low)s
  GROUP BY shard, notification),
r AS (
  SELECT shard, notification, max(fence) AS fence,
         coalesce(bool_or(source = 'twilio' AND rank >= 9), false) AS carrier,
         coalesce(bool_or(source = 'app' AND rank >= 9), false) AS app,
         array_agg(fence::text || ':' || step) FILTER (WHERE rank = 8) AS failed
  FROM receipt
  WHERE shard = ANY(%(shards)s) AND (%(ids)s::uuid[] IS NULL OR notification = ANY(%(ids)s)) AND notification >= %(low)s
  GROUP BY shard, notification),
e AS (
  -- Found by their ids as well: a join alone would read all events.
  SELECT shard, id, subject FROM event
  WHERE shard = ANY(%(shards)s) AND (%(ids)s::uuid[] IS NULL OR id = ANY(ARRAY(
    SELECT event FROM notification WHERE shard = ANY(%(shards)s) AND id = ANY(%(ids)s))))),
x AS (
  -- Moved by hand: what a plan says holds no longer to the letter.
  SELECT shard, notification, bool_or(what = 'cancel') AS cancelled FROM action
  WHERE shard = ANY(%(shards)s) AND (%(ids)s::uuid[] IS NULL OR notification = ANY(%(ids)s)) AND notification >= %(low)s
  GROUP BY shard, notification),
lives AS (
  SELECT coalesce(n.id, d.notification, a.notification, r.notification, x.notification) AS id,
         n.kind, (n.created_at AT TIME ZONE 'UTC')::date AS day,
         CASE WHEN n.final_at IS NOT NULL AND d.seq IS NULL THEN 'final'
              WHEN n.state = 'parked' AND d.seq IS NOT NULL THEN 'parked'
              WHEN n.state = 'open' AND d.seq IS NOT NULL THEN 'pending' END AS class,
         array_remove(ARRAY[
           CASE WHEN n.id IS NULL AND d.seq IS NOT NULL THEN 'due_without_notification' END,
           CASE WHEN n.id IS NULL AND a.notification IS NOT NULL THEN 'attempt_without_notification' END,
           CASE WHEN n.id IS NULL AND r.notification IS NOT NULL THEN 'receipt_without_notification' END,
           CASE WHEN n.id IS NULL AND x.notification IS NOT NULL THEN 'action_without_notification' END,
           CASE WHEN n.id IS NOT NULL AND n.final_at IS NULL AND d.seq IS NULL THEN 'open_without_due' END,
           CASE WHEN n.final_at IS NOT NULL AND d.seq IS NOT NULL THEN 'final_with_due' END,
           CASE WHEN n.id IS NOT NULL AND e.id IS NULL THEN 'notification_without_event' END,
           CASE WHEN n.subject <> e.subject THEN 'other_subject' END,
           CASE WHEN n.clears IS NOT NULL AND c.id IS NULL THEN 'clears_nothing' END,
           CASE WHEN (length(n.content) = 0) <> (n.content_dropped_at IS NOT NULL)
                THEN 'dropped_unsaid' END,
           CASE WHEN n.content_dropped_at IS NOT NULL AND n.final_at IS NULL THEN 'dropped_too_early' END,
           CASE WHEN n.state = 'delivered' AND NOT CASE n.proof
                  WHEN 'carrier' THEN n.channel = 'sms' AND coalesce(r.carrier, false)
                  WHEN 'app' THEN n.channel = 'push' AND coalesce(r.app, false)
                  WHEN 'accepted' THEN coalesce(n.channel = ANY(a.took), false)
                  ELSE false END THEN 'delivered_unproven' END,
           CASE WHEN n.state NOT IN ('delivered', 'cancelled') AND (r.carrier OR r.app) THEN 'success_ignored' END,
           CASE WHEN n.state = 'cancelled' AND (a.maybe_sent OR r.notification IS NOT NULL) THEN 'cancelled_but_sent' END,
           CASE WHEN n.state = 'open' AND d.due_at = 'infinity' THEN 'open_at_rest' END,
           CASE WHEN n.state = 'parked' AND NOT d.cancel AND (d.due_at < 'infinity' OR d.owner IS NOT NULL)
                THEN 'parked_at_work' END,
           CASE WHEN d.due_at < now() - (%(overdue_s)s::integer[])[d.lane + 1] * interval '1 second' THEN 'overdue' END,
           CASE WHEN d.due_at < 'infinity' AND d.due_at > greatest(now(), n.expires_at) + interval '1 day'
                THEN 'due_too_late' END,
           CASE WHEN d.lane <> n.lane THEN 'other_lane' END,
           CASE WHEN d.fence < greatest(a.fence, r.fence) THEN 'fence_behind' END,
           CASE WHEN d.step < a.step AND x.notification IS NULL THEN 'step_behind' END,
           CASE WHEN d.step_at > greatest(now(), d.due_at) + interval '1 minute' THEN 'step_in_future' END,
           CASE WHEN d.work = 4 AND n.clears IS NULL THEN 'held_for_nothing' END,
           CASE WHEN d.best_rank < 8 AND x.notification IS NULL AND d.call_fence::text || ':' || d.step = ANY(r.failed)
                THEN 'failure_unheard' END,
           CASE WHEN d.best_rank > 0 AND NOT coalesce(d.call_fence::text || ':' || d.step = ANY(r.failed), false)
                THEN 'failure_unsaid' END,
           CASE WHEN d.cancel AND NOT coalesce(x.cancelled, false)
                  AND (n.kind NOT IN ('checkin.missed', 'operator.page')
                       OR n.id = ANY(l.notifications) OR n.id = l.page)
                THEN 'withdrawn_by_nobody' END], NULL) AS wrong
  FROM n
  FULL JOIN d ON d.shard = n.shard AND d.notification = n.id
  FULL JOIN a ON a.shard = n.shard AND a.notification = n.id
  FULL JOIN r ON r.shard = n.shard AND r.notification = n.id
  FULL JOIN x ON x.shard = n.shard AND x.notification = n.id
  LEFT JOIN e ON e.shard = n.shard AND e.id = n.event
  LEFT JOIN notification c ON c.shard = n.shard AND c.id = n.clears
  LEFT JOIN alert l ON l.shard = n.shard AND l.member = n.subject AND d.cancel)
SELECT kind, day, class, wrong, count(*), (array_agg(id) FILTER (WHERE wrong <> '{}'))[1:%(most)s::integer]
FROM lives GROUP BY kind, day, class, wrong
