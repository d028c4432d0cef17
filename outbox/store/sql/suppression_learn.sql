-- The provider refused a text because the number opted out there: we know it from now on.
INSERT INTO suppression AS s (shard, phone_hash, program, origin, word)
SELECT DISTINCT ON (n.phone_hash) mod(get_byte(n.phone_hash, 1), 16), n.phone_hash, 'all', 'provider', r.code
FROM json_to_recordset(%(rows)s::json) AS r (notification uuid, code text)
JOIN notification n ON n.shard = %(shard)s AND n.id = r.notification
 AND n.id BETWEEN %(low_id)s AND %(high_id)s
WHERE n.phone_hash IS NOT NULL
ORDER BY n.phone_hash
ON CONFLICT (shard, phone_hash, program)
DO UPDATE SET origin = excluded.origin, word = excluded.word, at = now(), lifted_at = NULL, changed_at = now(),
  followed_at = NULL
WHERE s.lifted_at IS NOT NULL
