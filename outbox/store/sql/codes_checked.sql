-- The rows are locked by this transaction already; the ids find them by the primary key.
UPDATE verification v SET checks_left = r.checks_left,
       approved_at = CASE WHEN r.used THEN coalesce(v.approved_at, now()) END
FROM json_to_recordset(%(rows)s::json) AS r (id uuid, checks_left smallint, used boolean)
WHERE v.shard = %(shard)s AND v.id = ANY(%(ids)s) AND v.id = r.id
