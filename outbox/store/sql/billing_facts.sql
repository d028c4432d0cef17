-- Append-only. A fact that is there already stays as it was heard first.
INSERT INTO billing_event (shard, source, source_id, account, type, at, by, why, result, object, command,
                           notification)
SELECT shard, source, source_id, account, type, at, by, why, result, object, command, notification
FROM json_to_recordset(%(rows)s::json) AS r (
  shard smallint, source text, source_id text, account text, type text, at timestamptz, by text, why text,
  result text, object text, command integer, notification uuid)
ON CONFLICT (shard, source, source_id) DO NOTHING
