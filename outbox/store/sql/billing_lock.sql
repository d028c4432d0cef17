-- Locks (and makes, if need be) the one row per account that serialises its life; sorted, after the
-- alerts and before any due row. What it decides is read by the statements that follow.
INSERT INTO account AS a (shard, id)
SELECT shard, id FROM json_to_recordset(%(rows)s::json) AS r (shard smallint, id text)
ON CONFLICT (shard, id) DO UPDATE SET id = excluded.id
RETURNING shard, id, commands, role, role_at, opened_at, member_at, member_by, member_why, wish, wish_at,
          email, email_at, now()
