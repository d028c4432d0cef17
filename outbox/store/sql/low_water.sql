-- The scan that ignores the marks, and sets them anew: never past the oldest row still seen, nor
-- past what a transaction that is still open may yet write.
UPDATE lane k SET low = least(
  coalesce((SELECT due_at FROM due d WHERE d.shard = k.shard AND d.lane = k.lane ORDER BY d.due_at LIMIT 1),
           now()),
  now() - %(behind_s)s * interval '1 second')
WHERE (k.shard, k.lane) IN (SELECT shard, lane FROM lane ORDER BY shard, lane FOR NO KEY UPDATE SKIP LOCKED)
