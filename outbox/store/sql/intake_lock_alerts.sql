-- Locks (and makes, if need be) the one row per Member that serialises a life; sorted, and before
-- any due row. What it decides is read by the statements that follow.
INSERT INTO alert AS a (shard, member)
SELECT shard, member FROM json_to_recordset(%(rows)s::json) AS r (shard smallint, member text)
ON CONFLICT (shard, member) DO UPDATE SET member = excluded.member
RETURNING member, last_checkin_at, open_event, open_due_at, told, notifications, page, now()
