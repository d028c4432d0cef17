-- Missed check-ins accepted in these minutes, and whether each reached a human in time: by the time
-- at which the gateway stored the word, or a page was settled. What is not known is not reached.
SELECT e.minute,
       CASE WHEN e.reached THEN 'reached'
            WHEN e.paged THEN 'paged'
            WHEN e.told = 0 THEN 'repeated'
            WHEN e.told = e.withdrawn THEN 'withdrawn'
            ELSE 'unreached' END,
       'checkin.missed', '', count(*)
FROM (
  SELECT date_trunc('minute', e.accepted_at, 'UTC') AS minute,
         coalesce(bool_or(told.reached), false) AS reached, coalesce(bool_or(told.paged), false) AS paged,
         count(told.id) AS told, count(told.id) FILTER (WHERE told.state = 'cancelled') AS withdrawn
  FROM event e
  LEFT JOIN LATERAL (
    SELECT n.id, n.state,
           n.kind = 'checkin.missed' AND EXISTS (
             SELECT FROM receipt r
             WHERE r.shard = n.shard AND r.notification = n.id AND r.rank >= 9
               AND r.at < e.accepted_at + %(after)s) AS reached,
           n.kind = 'operator.page' AND EXISTS (
             SELECT FROM attempt a
             WHERE a.shard = n.shard AND a.notification = n.id AND a.result IN ('accepted', 'warning')
               AND a.stored_at < e.accepted_at + %(after)s) AS paged
    FROM notification n
    WHERE n.shard = e.shard AND n.event = e.id AND n.kind IN ('checkin.missed', 'operator.page')
      -- Ids of one event are of about the same time: prunes to a few days.
      AND n.id >= %(low_id)s) told ON true
  WHERE e.accepted_at >= %(from)s AND e.accepted_at < %(until)s AND e.id >= %(low_id)s
    AND e.type = 'checkin.missed'
  GROUP BY e.shard, e.id, e.accepted_at) e
GROUP BY 1, 2
