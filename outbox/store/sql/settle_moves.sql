-- Moves a row only where fence and owner are still those of the claim. Rows are locked in seq
-- order first, and what is decided under the lock is read from the locked row alone: a failure
-- receipt that came during the call has raised best_rank, and then there is nothing to wait for.
-- What is withdrawn waits for no further call, but for a receipt, or for an outcome, as ever.
WITH r AS MATERIALIZED (
  SELECT * FROM json_to_recordset(%(rows)s::json) AS r (
    seq bigint, token uuid, fence integer, work smallint, step smallint, attempt smallint, asked smallint,
    delay_s float8, receipt_within_s float8, suspect smallint, anew boolean)),
locked AS MATERIALIZED (
  SELECT d.seq, d.step AS step_before, d.best_rank, d.cancel,
         CASE WHEN r.work <> 1 THEN NULL
              WHEN r.receipt_within_s IS NULL THEN d.receipt_until
              ELSE now() + r.receipt_within_s * interval '1 second' END AS receipt_until
  FROM due d JOIN r USING (seq)
  WHERE d.shard = %(shard)s
  ORDER BY d.seq FOR NO KEY UPDATE OF d)
UPDATE due d SET
  work = r.work, step = r.step, attempt = r.attempt, asked = r.asked, owner = NULL, suspect = r.suspect,
  due_at = CASE WHEN (locked.cancel AND r.work IN (0, 4)) OR (r.work = 1 AND locked.best_rank >= 8) THEN now()
                WHEN r.delay_s IS NULL THEN 'infinity'
                -- least() passes over null: only what awaits a receipt has a deadline. One that
                -- passed while the provider was asked must not lie below the low-water mark.
                ELSE greatest(now(), least(now() + r.delay_s * interval '1 second',
                                           locked.receipt_until)) END,
  receipt_until = locked.receipt_until,
  step_at = CASE WHEN r.step <> locked.step_before THEN now()
                 WHEN r.anew THEN now() + coalesce(r.delay_s, 0) * interval '1 second'
                 ELSE d.step_at END,
  best_rank = CASE WHEN r.step <> locked.step_before THEN 0 ELSE d.best_rank END
FROM r JOIN locked USING (seq)
WHERE d.shard = %(shard)s AND d.seq = r.seq AND d.fence = r.fence AND d.owner = r.token
RETURNING d.seq
