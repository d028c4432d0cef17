-- A failure counts only for the newest call. It raises best_rank in the row that settle and
-- deadline lock and test; whoever waits for the receipt is due now, and its claim goes on.
WITH r AS MATERIALIZED (
  SELECT * FROM json_to_recordset(%(rows)s::json) AS r (notification uuid, step smallint, fence integer)),
locked AS MATERIALIZED (
  SELECT d.seq, r.step, r.fence FROM due d JOIN r USING (notification)
  WHERE d.shard = %(shard)s
  ORDER BY d.seq FOR NO KEY UPDATE OF d)
UPDATE due d SET best_rank = greatest(d.best_rank, 8),
       due_at = CASE WHEN d.owner IS NULL AND d.work IN (1, 2, 3) THEN now() ELSE d.due_at END
FROM locked
WHERE d.shard = %(shard)s AND d.seq = locked.seq AND d.step = locked.step AND d.call_fence = locked.fence
  AND d.best_rank < 8
RETURNING d.lane
