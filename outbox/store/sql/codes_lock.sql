-- One shard a statement, in order of id: guesses of one code follow each other, whoever brings them.
SELECT id, code_hash, checks_left, expires_at <= now(), approved_at IS NOT NULL
FROM verification
WHERE shard = %(shard)s AND id = ANY(%(ids)s)
ORDER BY id FOR NO KEY UPDATE
