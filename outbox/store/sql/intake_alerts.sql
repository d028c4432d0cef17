-- The Members' rows are locked by this transaction already.
UPDATE alert a SET last_checkin_at = r.last_checkin_at, open_event = r.open_event,
       open_due_at = r.open_due_at, told = r.told, notifications = r.notifications, page = r.page
FROM json_to_recordset(%(rows)s::json) AS r (
  shard smallint, member text, last_checkin_at timestamptz, open_event uuid, open_due_at timestamptz,
  told text[], notifications uuid[], page uuid)
WHERE a.shard = r.shard AND a.member = r.member
