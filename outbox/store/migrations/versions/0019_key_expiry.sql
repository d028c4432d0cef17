-- A key that was made for a time is refused afterwards, as if it had been revoked.
ALTER TABLE api_key ADD COLUMN expires_at timestamptz;
