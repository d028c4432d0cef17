-- The audit reads what changed within a minute, and finds a row again by the hash of its name, which
-- is all that fits into a leaf.
CREATE INDEX account_changed ON account (shard, changed_at);
CREATE INDEX account_hash ON account (shard, md5(id));
CREATE INDEX subscription_changed ON subscription (shard, changed_at);
CREATE INDEX subscription_hash ON subscription (shard, md5(id));
CREATE INDEX invoice_changed ON invoice (shard, changed_at);
CREATE INDEX invoice_hash ON invoice (shard, md5(id));
CREATE INDEX payment_method_changed ON payment_method (shard, changed_at);
CREATE INDEX payment_method_hash ON payment_method (shard, md5(id));
CREATE INDEX reversal_changed ON reversal (shard, changed_at);
CREATE INDEX reversal_hash ON reversal (shard, md5(id));
