-- One shard a statement. Two transactions that count the same thing follow each other, also when a
-- minute ends between them: both lock the row of one minute, as none lasts for so long. What they
-- count is read by a later statement.
SELECT FROM usage_minute
WHERE shard = %(shard)s AND key = ANY(%(keys)s) AND minute >= date_trunc('minute', now()) - interval '1 minute'
ORDER BY key, minute FOR NO KEY UPDATE
