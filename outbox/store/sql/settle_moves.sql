-- Moves a row only where fence and owner are still those of the claim. Rows are locked in seq
-- order first, and what is decided under the lock is read from the locked row alone: a failure
-- receipt that came during the call has raised best_rank, and then there is nothing to wait for.
WITH r AS MATERIALIZED (
  SELECT * FROM json_to_recordset(%(rows)s::json) AS r (
    seq bigint, token uuid, fence integer, work smallint, step smallint, attempt smallint, asked smallint,
    delay_s float8)),
locked AS MATERIALIZED (
  SELECT d.seq, d.step AS step_before, d.best_rank, d.cancel FROM due d
  WHERE d.shard = %(shard)s AND d.seq IN (SELECT seq FROM r)
  ORDER BY d.seq FOR NO KEY UPDATE)
UPDATE due d SET
  work = r.work, step = r.step, attempt = r.attempt, asked = r.asked, owner = NULL,
  due_at = CASE WHEN locked.cancel OR (r.work = 1 AND locked.best_rank >= 8) THEN now()
                WHEN r.delay_s IS NULL THEN 'infinity'
                ELSE now() + r.delay_s * interval '1 second' END,
  step_at = CASE WHEN r.step <> locked.step_before THEN now() ELSE d.step_at END,
  best_rank = CASE WHEN r.step <> locked.step_before THEN 0 ELSE d.best_rank END
FROM r JOIN locked USING (seq)
WHERE d.shard = %(shard)s AND d.seq = r.seq AND d.fence = r.fence AND d.owner = r.token
RETURNING d.seq
