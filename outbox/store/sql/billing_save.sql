-- The accounts' rows are locked by this transaction already.
UPDATE account a SET role = r.role, role_at = r.role_at, opened_at = r.opened_at, member_at = r.member_at,
       member_by = r.member_by, member_why = r.member_why, wish = r.wish, wish_at = r.wish_at,
       email = decode(r.email, 'base64'), email_at = r.email_at, commands = r.commands
FROM json_to_recordset(%(rows)s::json) AS r (
  shard smallint, id text, role text, role_at timestamptz, opened_at timestamptz, member_at timestamptz,
  member_by text, member_why text, wish text, wish_at timestamptz, email text, email_at timestamptz,
  commands integer)
WHERE a.shard = r.shard AND a.id = r.id
