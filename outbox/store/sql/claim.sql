-- Lease and durable intent in one statement. The claim itself decides, under the row's lock:
--   a send whose previous owner is not null may have gone out: work becomes resolve;
--   an awaiting row that has failed or run out of time takes the next step; one that is due before
--   its deadline asks the provider (a read: that its owner died does not matter).
-- Only a send begins a new call, so only then do call_fence and best_rank start anew.
-- The notification is joined by LATERAL so that each id prunes to its one partition.
WITH c AS MATERIALIZED (
  SELECT seq, owner IS NOT NULL AS abandoned,
         CASE WHEN work = 0 AND owner IS NOT NULL THEN 2
              WHEN work = 1 AND (best_rank >= 8 OR receipt_until <= now()) THEN 0
              WHEN work = 1 THEN 3
              ELSE work END AS next_work,
         work = 1 AND (best_rank >= 8 OR receipt_until <= now()) AS next_step
  FROM due
  WHERE shard = %(shard)s AND lane = %(lane)s AND due_at BETWEEN %(low)s AND now()
  ORDER BY due_at, seq LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED),
u AS (
  UPDATE due d SET
    due_at = now() + %(lease_s)s * interval '1 second',
    suspect = CASE WHEN d.owner IS NULL THEN d.suspect ELSE d.suspect + 1 END,
    fence = d.fence + 1,
    owner = %(token)s,
    attempt = CASE WHEN c.next_step THEN 1 WHEN c.next_work = 0 THEN d.attempt + 1 ELSE d.attempt END,
    asked = CASE WHEN c.next_step THEN 0 ELSE d.asked END,
    step = CASE WHEN c.next_step THEN d.step + 1 ELSE d.step END,
    step_at = CASE WHEN c.next_step THEN now() ELSE d.step_at END,
    work = c.next_work,
    receipt_until = CASE WHEN c.next_work = 3 THEN d.receipt_until END,
    call_fence = CASE WHEN c.next_work = 0 THEN d.fence + 1 ELSE d.call_fence END,
    best_rank = CASE WHEN c.next_work = 0 THEN 0 ELSE d.best_rank END
  FROM c WHERE d.shard = %(shard)s AND d.seq = c.seq
  RETURNING d.seq, d.notification, d.step, d.work, d.attempt, d.asked, d.fence, d.call_fence,
            d.best_rank, d.cancel, d.suspect, extract(epoch FROM now() - d.step_at)::float8 AS step_age_s,
            extract(epoch FROM d.receipt_until - now())::float8 AS receipt_left_s, c.abandoned)
SELECT u.*, n.event, n.subject, n.recipient, n.kind, n.plan, n.template, n.locale, n.content,
       n.clears, n.created_at, n.expires_at <= now() AS expired
FROM u CROSS JOIN LATERAL (
  SELECT * FROM notification WHERE shard = %(shard)s AND id = u.notification LIMIT 1) n
