-- Callbacks stored in these minutes. Found by the times in their ids, which the gateways' clocks
-- made: hence the margin around the minutes; the database's own time then decides.
SELECT date_trunc('minute', i.received_at, 'UTC'),
       CASE WHEN i.note LIKE 'cannot be %%' THEN 'failed'
            WHEN i.done_at < date_trunc('minute', i.received_at, 'UTC') + interval '1 minute' + %(after)s
              THEN 'applied'
            ELSE 'waiting' END,
       i.provider, '', count(*)
FROM inbox i
WHERE i.shard = ANY(%(shards)s) AND i.id >= %(near_id)s AND i.id < %(beyond_id)s
  AND i.received_at >= %(from)s AND i.received_at < %(until)s
GROUP BY 1, 2, 3
