-- Lease and durable intent in one statement. The claim itself decides, under the row's lock:
--   a previous owner that is not null means that its call may have gone out: work becomes resolve;
--   an awaiting row that is due has failed or run out of time: its claim takes the next step.
-- call_fence stays that of the call whose receipts count while an outcome is being resolved.
-- The notification is joined by LATERAL so that each id prunes to its one partition.
WITH c AS MATERIALIZED (
  SELECT seq, owner IS NOT NULL AS abandoned FROM due
  WHERE shard = %(shard)s AND lane = %(lane)s AND due_at BETWEEN %(low)s AND now()
  ORDER BY due_at, seq LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED),
u AS (
  UPDATE due d SET
    due_at = now() + %(lease_s)s * interval '1 second',
    fence = d.fence + 1,
    owner = %(token)s,
    attempt = CASE WHEN NOT c.abandoned AND d.work = 1 THEN 1 ELSE d.attempt + 1 END,
    asked = CASE WHEN NOT c.abandoned AND d.work = 1 THEN 0 ELSE d.asked END,
    step = CASE WHEN NOT c.abandoned AND d.work = 1 THEN d.step + 1 ELSE d.step END,
    step_at = CASE WHEN NOT c.abandoned AND d.work = 1 THEN now() ELSE d.step_at END,
    work = CASE WHEN c.abandoned THEN 2 WHEN d.work = 1 THEN 0 ELSE d.work END,
    call_fence = CASE WHEN c.abandoned OR d.work = 2 THEN d.call_fence ELSE d.fence + 1 END,
    best_rank = CASE WHEN c.abandoned OR d.work = 2 THEN d.best_rank ELSE 0 END
  FROM c WHERE d.shard = %(shard)s AND d.seq = c.seq
  RETURNING d.seq, d.notification, d.step, d.work, d.attempt, d.asked, d.fence, d.call_fence,
            d.best_rank, d.cancel, extract(epoch FROM now() - d.step_at)::float8 AS step_age_s, c.abandoned)
SELECT u.*, n.event, n.subject, n.recipient, n.kind, n.plan, n.template, n.locale, n.content,
       n.created_at, n.expires_at <= now() AS expired
FROM u CROSS JOIN LATERAL (
  SELECT * FROM notification WHERE shard = %(shard)s AND id = u.notification LIMIT 1) n
