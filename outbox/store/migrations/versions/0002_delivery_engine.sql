-- What the real world needs beyond the main path: opt-outs, breakers and rate limits, cancellation
-- and all-clears, one-time codes, poison rows, and a record of what people did by hand.

-- suspect counts claims in a row whose owner never settled: one bad row must not kill relay after
-- relay. work 4: an all-clear that waits until the outcome of the alert it takes back is known.
ALTER TABLE due ADD COLUMN suspect smallint NOT NULL DEFAULT 0;
ALTER TABLE due DROP CONSTRAINT due_work_check;
ALTER TABLE due ADD CONSTRAINT due_work_check CHECK (work BETWEEN 0 AND 4);
ALTER TABLE due ADD CHECK (suspect >= 0);

-- Keyed hash of the number it goes to: finds notifications by number, and whom an opt-out concerns.
ALTER TABLE notification ADD COLUMN phone_hash bytea;
-- Of an all-clear: the alert's notification that it takes back.
ALTER TABLE notification ADD COLUMN clears uuid;
CREATE INDEX notification_recipient ON notification (recipient, id);
CREATE INDEX notification_subject ON notification (shard, subject, id);
CREATE INDEX notification_phone ON notification (phone_hash, id) WHERE phone_hash IS NOT NULL;

-- skip: no call was made, as the provider was known to be down.
ALTER TABLE attempt DROP CONSTRAINT attempt_what_check;
ALTER TABLE attempt ADD CONSTRAINT attempt_what_check CHECK (what IN ('send', 'ask', 'skip'));

-- What a failure receipt means for further texts to this number; null for what is no failure.
ALTER TABLE receipt ADD COLUMN result text;

-- Opt-outs. Found by the keyed hash of the number, and nothing else is kept, so that an opt-out
-- survives the erasure of the person.
CREATE TABLE suppression (
  shard smallint NOT NULL,                -- of the number's hash
  phone_hash bytea NOT NULL,              -- keyed, with the key's version in front
  program text NOT NULL,                  -- what was opted out of: all
  origin text NOT NULL,                   -- inbound | provider | person
  word text,                              -- STOP, or the provider's code
  at timestamptz NOT NULL DEFAULT now(),
  lifted_at timestamptz,                  -- START came; null while it is in force
  changed_at timestamptz NOT NULL DEFAULT now(),
  followed_at timestamptz,                -- when those were told whom it leaves unreachable; null: not yet
  PRIMARY KEY (shard, phone_hash, program),
  CHECK (origin IN ('inbound', 'provider', 'person'))
);
CREATE INDEX suppression_changed ON suppression (changed_at);
CREATE INDEX suppression_new ON suppression (shard) WHERE followed_at IS NULL;

-- A text that may be a revocation in somebody's own words: a person decides.
CREATE TABLE revocation (
  shard smallint NOT NULL,
  id uuid NOT NULL,
  phone_hash bytea NOT NULL,
  body bytea NOT NULL,                    -- sealed
  at timestamptz NOT NULL DEFAULT now(),
  decided_at timestamptz,
  decision text,
  PRIMARY KEY (shard, id),
  CHECK ((decided_at IS NULL) = (decision IS NULL)),
  CHECK (decision IN ('opt_out', 'ignored'))
);

-- Shared state of a provider, and of each of its senders. A relay votes by its own experience; the
-- shared breaker is open while a majority of live relays votes so.
CREATE TABLE breaker (
  shard smallint NOT NULL,
  provider text NOT NULL,
  sender text NOT NULL,                   -- keyed hash of a number, hexadecimal; '' for the provider as a whole
  probe_by uuid,                          -- the relay whose next call is the probe
  probe_until timestamptz,                -- its lease
  closed_at timestamptz,                  -- of the newest probe that went well
  hold_until timestamptz,                 -- the provider's own Retry-After
  PRIMARY KEY (shard, provider, sender)
) WITH (fillfactor = 50);
CREATE TABLE breaker_vote (
  shard smallint NOT NULL,
  provider text NOT NULL,
  sender text NOT NULL,
  relay uuid NOT NULL,
  opened_at timestamptz NOT NULL DEFAULT now(),
  open_until timestamptz NOT NULL,
  why text NOT NULL,
  PRIMARY KEY (shard, provider, sender, relay)
) WITH (fillfactor = 50);

-- Token buckets, leased by the second; level and its time move forward by the database's clock only.
CREATE TABLE limiter (
  shard smallint NOT NULL,
  provider text NOT NULL,
  sender text NOT NULL,
  class text NOT NULL,                    -- safety | codes | other
  level float8 NOT NULL,                  -- tokens that nobody has leased yet
  at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (shard, provider, sender, class),
  CHECK (level >= 0)
) WITH (fillfactor = 50);

-- What people did by hand: who, when, why, and what came of it. Append-only, kept for ever.
CREATE TABLE action (
  shard smallint NOT NULL,                -- of the notification
  id uuid NOT NULL,
  notification uuid NOT NULL,
  what text NOT NULL,                     -- cancel | redrive
  actor text NOT NULL,                    -- an API key's id and name, or the login of a command line
  reason text NOT NULL,
  result text NOT NULL,
  at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (shard, id),
  CHECK (what IN ('cancel', 'redrive'))
);
CREATE INDEX action_notification ON action (shard, notification);

-- Operator notices that are told once in a while, not once per notification.
CREATE TABLE notice (
  shard smallint NOT NULL,
  key text NOT NULL,
  told_at timestamptz NOT NULL DEFAULT now(),
  times integer NOT NULL DEFAULT 1,
  PRIMARY KEY (shard, key)
);

-- One-time codes: keyed hashes only.
CREATE TABLE verification (
  shard smallint NOT NULL,                -- of the id
  id uuid NOT NULL,
  phone_hash bytea,                       -- keyed; null for an id that somebody made up
  country text NOT NULL,                  -- ISO 3166-1, or ZZ
  caller text NOT NULL,                   -- API key id
  code_hash bytea,                        -- keyed, bound to the id; null for one that was never sent
  checks_left smallint NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz NOT NULL,
  approved_at timestamptz,
  notification uuid,                      -- null for one that was never sent
  refused text,                           -- why it was never sent; null for one that was
  PRIMARY KEY (shard, id),
  CHECK (checks_left >= 0),
  CHECK ((refused IS NULL) = (notification IS NOT NULL)),
  CHECK ((code_hash IS NULL) = (notification IS NULL)),
  CHECK (approved_at IS NULL OR notification IS NOT NULL)
);
CREATE INDEX verification_recent ON verification (created_at);

-- Counted use per minute, for limits on codes and bulk: key is a keyed hash, never a number. 0: the
-- row is there to be locked.
CREATE TABLE usage_minute (
  shard smallint NOT NULL,
  key bytea NOT NULL,
  minute timestamptz NOT NULL,
  n integer NOT NULL,
  PRIMARY KEY (shard, key, minute)
) WITH (fillfactor = 50, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_scale_factor = 0);

-- Topics that a device follows.
CREATE TABLE topic_device (
  shard smallint NOT NULL,                -- of the recipient
  recipient text NOT NULL,
  device text NOT NULL,
  topic text NOT NULL,
  at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (shard, recipient, device, topic)
);

CREATE INDEX device_token ON device (token_hash);

-- No contact for a month: set, and taken back, by a relay's daily upkeep.
ALTER TABLE device ADD COLUMN stale_at timestamptz;

-- Numbers that a carrier refused for good are few: found without reading everything.
CREATE INDEX attempt_refused ON attempt (notification)
  WHERE result = 'channel_final' AND channel = 'sms' AND latency_ms > 0;
CREATE INDEX receipt_refused ON receipt (notification) WHERE result = 'channel_final';

-- People whom no channel reaches: from those with a reason against texts (no number, an opt-out, a
-- refusal and nothing better since), whoever has a device that was heard of lately is taken out.
-- Runs as the owner, so that the dashboard sees the outcome and never a hash.
CREATE FUNCTION pruuf_unreachable() RETURNS TABLE (recipient text, texts text, pushes text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
  WITH low AS MATERIALIZED (SELECT pruuf_day_floor((now() AT TIME ZONE 'UTC')::date - 30) AS id),
  refused AS MATERIALIZED (
    SELECT DISTINCT ON (n.recipient, n.phone_hash) n.recipient, n.phone_hash, coalesce(f.code, 'refused') AS code, f.at
    FROM (SELECT a.shard, a.notification, a.code, a.at FROM attempt a, low
          WHERE a.notification >= low.id
            AND a.result = 'channel_final' AND a.channel = 'sms' AND a.latency_ms > 0
          UNION ALL
          SELECT r.shard, r.notification, r.code, r.at FROM receipt r, low
          WHERE r.notification >= low.id AND r.result = 'channel_final') f
    JOIN notification n ON n.shard = f.shard AND n.id = f.notification
    WHERE n.kind LIKE 'checkin.%' AND n.phone_hash IS NOT NULL
    ORDER BY n.recipient, n.phone_hash, f.at DESC),
  numbers AS MATERIALIZED (
    -- Stored ones by what is stored, others by their newest notification.
    SELECT r.id AS recipient, r.phone_hash FROM recipient r
    UNION ALL
    SELECT u.recipient, newest.phone_hash
    FROM (SELECT refused.recipient FROM refused
          UNION
          SELECT n.recipient FROM suppression s JOIN notification n ON n.phone_hash = s.phone_hash, low
          WHERE s.lifted_at IS NULL AND n.id >= low.id AND n.kind LIKE 'checkin.%') u
    CROSS JOIN LATERAL (
      SELECT n.phone_hash FROM notification n, low
      WHERE n.recipient = u.recipient AND n.id >= low.id ORDER BY n.id DESC LIMIT 1) newest
    WHERE NOT EXISTS (SELECT FROM recipient r WHERE r.id = u.recipient)),
  without_texts AS (
    SELECT numbers.recipient,
           CASE WHEN numbers.phone_hash IS NULL THEN 'no_number'
                WHEN s.phone_hash IS NOT NULL THEN 'opted_out'
                ELSE 'twilio_' || refused.code END AS texts
    FROM numbers
    LEFT JOIN suppression s ON s.phone_hash = numbers.phone_hash AND s.lifted_at IS NULL
    LEFT JOIN refused ON refused.recipient = numbers.recipient AND refused.phone_hash = numbers.phone_hash
      AND NOT EXISTS (
        SELECT FROM notification n JOIN receipt r ON r.shard = n.shard AND r.notification = n.id, low
        WHERE n.recipient = refused.recipient AND n.id >= low.id AND n.phone_hash = refused.phone_hash
          AND r.notification >= low.id AND r.source = 'twilio' AND r.rank >= 9 AND r.at > refused.at)
    WHERE numbers.phone_hash IS NULL OR s.phone_hash IS NOT NULL OR refused.code IS NOT NULL)
  SELECT w.recipient, w.texts,
         CASE WHEN d.all_devices IS NULL THEN 'no_device'
              WHEN d.all_devices = d.dead THEN 'device_dead' ELSE 'device_stale' END
  FROM without_texts w
  LEFT JOIN (
    SELECT device.recipient, count(*) AS all_devices, count(dead_at) AS dead,
           count(*) FILTER (WHERE dead_at IS NULL AND stale_at IS NULL) AS fresh
    FROM device GROUP BY device.recipient) d ON d.recipient = w.recipient
  WHERE coalesce(d.fresh, 0) = 0
$$;
REVOKE EXECUTE ON FUNCTION pruuf_unreachable() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pruuf_unreachable() TO pruuf_dashboard;
GRANT UPDATE (stale_at) ON device TO pruuf_relay;
GRANT SELECT (stale_at) ON device TO pruuf_dashboard;

GRANT SELECT, INSERT, UPDATE ON suppression TO pruuf_relay;
GRANT SELECT ON suppression TO pruuf_gateway;
GRANT SELECT, INSERT, UPDATE ON revocation TO pruuf_relay;
GRANT SELECT, UPDATE ON revocation TO pruuf_gateway;
GRANT SELECT, INSERT, UPDATE, DELETE ON breaker, breaker_vote, limiter TO pruuf_relay;
GRANT SELECT ON breaker, breaker_vote, limiter TO pruuf_gateway;
GRANT SELECT, INSERT ON action TO pruuf_gateway;
GRANT SELECT ON action TO pruuf_relay;
GRANT SELECT, INSERT, UPDATE ON notice TO pruuf_relay, pruuf_gateway;
GRANT SELECT, INSERT, UPDATE, DELETE ON verification, usage_minute TO pruuf_gateway;
GRANT SELECT, DELETE ON verification, usage_minute TO pruuf_relay;
GRANT SELECT, INSERT, UPDATE, DELETE ON topic_device TO pruuf_gateway, pruuf_relay;
-- A check-in withdraws what is pending of an alert, and a person may withdraw or redrive.
GRANT UPDATE, DELETE ON due TO pruuf_gateway;
GRANT UPDATE (state, reason, final_at, expires_at) ON notification TO pruuf_gateway;
GRANT INSERT ON event TO pruuf_relay;

GRANT SELECT (shard, program, origin, word, at, lifted_at, changed_at, followed_at)
  ON suppression TO pruuf_dashboard;
GRANT SELECT (shard, id, at, decided_at, decision) ON revocation TO pruuf_dashboard;
GRANT SELECT (shard, id, country, caller, checks_left, created_at, expires_at, approved_at, notification,
              refused)
  ON verification TO pruuf_dashboard;
GRANT SELECT ON breaker, breaker_vote, limiter, action, notice, topic_device TO pruuf_dashboard;
