-- Applying a callback makes no call outside, so the row lock is the lease: a crash rolls back and
-- the next relay takes it. Safety first. Billing has a reader of its own.
SELECT id, provider, body, received_at FROM inbox
WHERE shard = %(shard)s AND done_at IS NULL AND provider <> 'stripe'
ORDER BY lane, id LIMIT %(limit)s FOR UPDATE SKIP LOCKED
