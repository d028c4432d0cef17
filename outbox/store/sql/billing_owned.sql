-- Puts events of nobody back into the inbox, if an account is known by one of their names now; each once, as
-- its row goes. In one order by all.
WITH named AS (
  SELECT shard, id, names FROM billing_unowned WHERE names && %(names)s::text[] ORDER BY shard, id FOR UPDATE),
owned AS (
  DELETE FROM billing_unowned u USING named n
  WHERE u.shard = n.shard AND u.id = n.id AND (
    EXISTS (SELECT FROM account WHERE customer = ANY(n.names))
    OR EXISTS (SELECT FROM account WHERE shard = ANY(%(shards)s) AND id = ANY(n.names))
    OR EXISTS (SELECT FROM invoice WHERE intent = ANY(n.names))
    OR EXISTS (SELECT FROM invoice WHERE shard = ANY(%(shards)s) AND id = ANY(n.names))
    OR EXISTS (SELECT FROM payment_method WHERE shard = ANY(%(shards)s) AND id = ANY(n.names))
    OR EXISTS (SELECT FROM reversal WHERE shard = ANY(%(shards)s) AND id = ANY(n.names))
    OR EXISTS (SELECT FROM subscription WHERE shard = ANY(%(shards)s) AND id = ANY(n.names)))
  RETURNING u.shard, u.id)
UPDATE inbox i SET done_at = NULL, note = NULL, redriven_at = now()
FROM owned o WHERE i.shard = o.shard AND i.provider = 'stripe' AND i.said = o.id
