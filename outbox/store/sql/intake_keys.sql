-- One statement decides new or repeated. The conflict branch writes on purpose: the answer to a
-- repetition then waits for a commit of its own, and cannot confirm what no standby has.
-- Rows come sorted by key, so that overlapping batches queue instead of deadlocking. New is what
-- this statement inserted: a lost COMMIT that is run again finds its own event there already.
INSERT INTO event_key AS k (shard, source, source_id, event, content_hash, answer, expires_at)
SELECT shard, source, source_id, event, decode(content_hash, 'base64'), answer,
       CASE WHEN keep THEN NULL ELSE now() + interval '30 days' END
FROM json_to_recordset(%(rows)s::json) AS r (
  shard smallint, source text, source_id text, event uuid, content_hash text, answer text, keep boolean)
ON CONFLICT (shard, source, source_id) DO UPDATE SET replays = k.replays + 1
RETURNING source, source_id, event, content_hash, answer, replays = 0
