-- Everything that is not final against everything that is due: counted, in both directions, and by
-- the clock. Narrow, so that it may be looked at each minute, however much waits.
WITH judged AS (
  SELECT coalesce(n.id, d.notification) AS id,
         CASE WHEN d.seq IS NULL OR n.id IS NULL THEN NULL
              WHEN n.state = 'parked' THEN 'parked' ELSE 'pending' END AS class,
         array_remove(ARRAY[
           CASE WHEN d.seq IS NULL THEN 'open_without_due' END,
           CASE WHEN n.id IS NULL THEN
             CASE WHEN EXISTS (SELECT FROM notification f WHERE f.shard = d.shard AND f.id = d.notification)
                  THEN 'final_with_due' ELSE 'due_without_notification' END END,
           CASE WHEN d.due_at < now() - (%(overdue_s)s::integer[])[d.lane + 1] * interval '1 second' THEN 'overdue' END,
           CASE WHEN n.state = 'open' AND d.due_at = 'infinity' THEN 'open_at_rest' END], NULL) AS wrong
  FROM (SELECT shard, id, state FROM notification WHERE final_at IS NULL) n
  FULL JOIN due d ON d.shard = n.shard AND d.notification = n.id)
SELECT class, wrong, count(*), (array_agg(id) FILTER (WHERE wrong <> '{}'))[1:%(most)s::integer]
FROM judged GROUP BY class, wrong
