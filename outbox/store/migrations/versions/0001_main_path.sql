-- The tables of the main path. Every primary and unique key begins with shard, so that the same
-- SQL runs on one Postgres and on a cluster distributed by shard. No foreign keys: the audit
-- proves what they would guard, without a lock on every insert.

CREATE TABLE api_key (
  shard smallint NOT NULL,
  id text NOT NULL,
  name text NOT NULL,
  secret_hash bytea NOT NULL,             -- SHA-256 of 32 random bytes
  scopes text[] NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  last_used_at timestamptz,               -- within a minute
  revoked_at timestamptz,
  PRIMARY KEY (shard, id),
  CHECK (cardinality(scopes) > 0)
);

-- Idempotency. Not partitioned: one unique index decides, whatever day the repetition comes.
CREATE TABLE event_key (
  shard smallint NOT NULL,                -- of (source, source_id)
  source text NOT NULL,
  source_id text NOT NULL,
  event uuid NOT NULL,
  content_hash bytea NOT NULL,            -- keyed
  answer text NOT NULL,                   -- the notifications as first answered, JSON; no personal data
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz,                 -- null: kept for ever (safety, billing)
  replays integer NOT NULL DEFAULT 0,     -- written by each repetition, so that its answer waits for a commit
  PRIMARY KEY (shard, source, source_id)
);

CREATE TABLE event (
  shard smallint NOT NULL,                -- of the subject
  id uuid NOT NULL,
  source text NOT NULL,
  source_id text NOT NULL,
  type text NOT NULL,
  subject text NOT NULL,                  -- Member or account id
  occurred_at timestamptz NOT NULL,       -- the backend's word
  accepted_at timestamptz NOT NULL DEFAULT now(),
  content_hash bytea NOT NULL,
  traceparent text,
  data bytea NOT NULL,                    -- sealed
  PRIMARY KEY (shard, id)
) PARTITION BY RANGE (id);

CREATE TABLE notification (
  shard smallint NOT NULL,
  id uuid NOT NULL,
  event uuid NOT NULL,
  subject text NOT NULL,
  recipient text NOT NULL,
  kind text NOT NULL,
  lane smallint NOT NULL,
  plan bytea NOT NULL,                    -- JSON, as it was when accepted
  template text NOT NULL,
  locale text NOT NULL,
  content bytea NOT NULL,                 -- sealed: names, number, code
  state text NOT NULL DEFAULT 'open',
  reason text,                            -- why it is final or parked
  proof text,                             -- carrier | app | accepted
  channel text,                           -- the one that reached the recipient
  steps_taken smallint NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz NOT NULL,
  final_at timestamptz,
  PRIMARY KEY (shard, id),
  CHECK (lane BETWEEN 0 AND 3),
  CHECK (state IN ('open','parked','delivered','undeliverable','suppressed','cancelled','expired')),
  CHECK ((state IN ('open','parked')) = (final_at IS NULL)),
  CHECK ((state = 'delivered') = (proof IS NOT NULL)),
  CHECK (state IN ('open','delivered') OR reason IS NOT NULL)
) PARTITION BY RANGE (id);
CREATE INDEX notification_event ON notification (shard, event);

-- The only hot table. One row per notification that is not final.
-- work: 0 send, 1 await a receipt, 2 resolve an unknown outcome, 3 ask for a receipt that did not come.
CREATE TABLE due (
  shard smallint NOT NULL,
  seq bigint GENERATED ALWAYS AS IDENTITY,
  notification uuid NOT NULL,
  step smallint NOT NULL DEFAULT 0,       -- may equal the number of steps: none is left
  lane smallint NOT NULL,
  work smallint NOT NULL DEFAULT 0,
  due_at timestamptz NOT NULL DEFAULT now(),
  attempt smallint NOT NULL DEFAULT 0,    -- claims of this step so far
  asked smallint NOT NULL DEFAULT 0,      -- times the provider said that it has no such message
  fence integer NOT NULL DEFAULT 0,       -- counts claims; a settle must bring the newest
  call_fence integer NOT NULL DEFAULT 0,  -- fence of the newest call, whose receipts count
  owner uuid,                             -- random per claim; null while nobody holds the row
  best_rank smallint NOT NULL DEFAULT 0,  -- of the receipts of the newest call
  cancel boolean NOT NULL DEFAULT false,
  step_at timestamptz NOT NULL DEFAULT now(),
  receipt_until timestamptz,              -- deadline of the receipt that is awaited; null unless one is
  PRIMARY KEY (shard, seq),
  UNIQUE (shard, notification),
  CHECK (work BETWEEN 0 AND 3),
  CHECK (work NOT IN (1, 3) OR receipt_until IS NOT NULL),
  CHECK (work <> 1 OR owner IS NULL),
  CHECK (step >= 0 AND attempt >= 0 AND fence >= call_fence)
) WITH (fillfactor = 100, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_scale_factor = 0,
        autovacuum_vacuum_insert_threshold = -1, vacuum_truncate = false,
        autovacuum_vacuum_cost_delay = 0);
CREATE INDEX due_at ON due (shard, lane, due_at, seq);

-- Low-water marks: a peek starts here and so steps over what is dead below.
CREATE TABLE lane (
  shard smallint NOT NULL,
  lane smallint NOT NULL,
  low timestamptz NOT NULL DEFAULT '2000-01-01 00:00+00',
  PRIMARY KEY (shard, lane)
) WITH (fillfactor = 50);
INSERT INTO lane (shard, lane) SELECT s, l FROM generate_series(0, 15) s, generate_series(0, 3) l;

-- One row per Member serialises a life: check-ins, alerts, their ends.
CREATE TABLE alert (
  shard smallint NOT NULL,
  member text NOT NULL,
  last_checkin_at timestamptz,
  open_event uuid,                        -- the missed check-in that opened the alert; null: none open
  open_due_at timestamptz,
  told text[] NOT NULL DEFAULT '{}',      -- Contacts who have a notification of the open alert
  notifications uuid[] NOT NULL DEFAULT '{}', -- of the open alert, so that its last failure is seen
  page uuid,                              -- the operator page of the open alert; once per alert
  PRIMARY KEY (shard, member),
  CHECK ((open_event IS NULL) = (open_due_at IS NULL)),
  CHECK (open_event IS NOT NULL OR (told = '{}' AND notifications = '{}' AND page IS NULL))
) WITH (fillfactor = 80);

CREATE TABLE attempt (
  shard smallint NOT NULL,
  notification uuid NOT NULL,
  fence integer NOT NULL,                 -- of the claim that made the call
  ordinal smallint NOT NULL DEFAULT 0,    -- tells the devices of one push step apart
  step smallint NOT NULL,
  try smallint NOT NULL,
  what text NOT NULL DEFAULT 'send',      -- send | ask
  channel text NOT NULL,
  provider text NOT NULL,
  sender smallint,                        -- position in the configured senders
  result text NOT NULL,                   -- class of the outcome
  code text,
  detail text,
  provider_id text,
  stale boolean NOT NULL DEFAULT false,   -- its claim had been lost when it was settled
  at timestamptz NOT NULL,                -- start of the call, by the relay's clock
  latency_ms integer NOT NULL,
  PRIMARY KEY (shard, notification, fence, ordinal),
  CHECK (what IN ('send', 'ask'))
) PARTITION BY RANGE (notification);

CREATE TABLE receipt (
  shard smallint NOT NULL,
  notification uuid NOT NULL,
  source text NOT NULL,                   -- twilio | app
  said text NOT NULL,                     -- what makes it unique: provider's id or device, status, code
  fence integer NOT NULL,
  step smallint NOT NULL,
  provider_id text,
  status text NOT NULL,
  code text,
  rank smallint NOT NULL,
  at timestamptz NOT NULL,                -- when the gateway stored it
  PRIMARY KEY (shard, notification, source, said)
) PARTITION BY RANGE (notification);

-- Verified callbacks waiting to be applied. Not partitioned: one unique index decides repetition.
CREATE TABLE inbox (
  shard smallint NOT NULL,
  id uuid NOT NULL,
  provider text NOT NULL,
  said text NOT NULL,
  lane smallint NOT NULL,
  body bytea NOT NULL,                    -- sealed
  received_at timestamptz NOT NULL DEFAULT now(),
  done_at timestamptz,
  note text,                              -- why it could not be applied
  PRIMARY KEY (shard, id),
  UNIQUE (shard, provider, said)
) WITH (autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_scale_factor = 0);
CREATE INDEX inbox_open ON inbox (shard, lane, id) WHERE done_at IS NULL;

CREATE TABLE recipient (
  shard smallint NOT NULL,                -- of the recipient's own id
  id text NOT NULL,
  name bytea,                             -- sealed
  phone bytea,                            -- sealed
  phone_hash bytea,                       -- keyed; finds the recipient of a number
  locale text NOT NULL DEFAULT 'en-US',
  timezone text NOT NULL DEFAULT 'UTC',
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (shard, id)
);
CREATE INDEX recipient_phone ON recipient (shard, phone_hash);

CREATE TABLE device (
  shard smallint NOT NULL,                -- of its recipient
  recipient text NOT NULL,
  id text NOT NULL,
  token bytea NOT NULL,                   -- sealed
  token_hash bytea NOT NULL,              -- keyed; a dead token is removed only if it is still this one
  address_kind text NOT NULL,
  platform text NOT NULL,
  seen_at timestamptz NOT NULL DEFAULT now(),
  dead_at timestamptz,                    -- the provider said that the address is gone
  PRIMARY KEY (shard, recipient, id),
  CHECK (address_kind IN ('token', 'fid')),
  CHECK (platform IN ('ios', 'android', 'web'))
);

CREATE TABLE relay (
  shard smallint NOT NULL,
  id uuid NOT NULL,
  host text NOT NULL,
  pid integer NOT NULL,
  started_at timestamptz NOT NULL DEFAULT now(),
  seen_at timestamptz NOT NULL DEFAULT now(),
  in_flight integer NOT NULL DEFAULT 0,
  PRIMARY KEY (shard, id)
) WITH (fillfactor = 50);

-- Partitions by UTC day, made ahead. The owner makes them on behalf of a relay, which itself may
-- create nothing. One advisory lock for all machines; a short lock time-out, so that intake never
-- queues behind it.
CREATE FUNCTION pruuf_day_floor(day date) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
  SELECT (lpad(to_hex((extract(epoch FROM day::timestamp AT TIME ZONE 'UTC') * 1000)::bigint), 12, '0')
          || repeat('0', 20))::uuid
$$;

CREATE FUNCTION pruuf_make_partitions(ahead integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  parent text;
  day date;
  child text;
  made integer := 0;
  today date := (now() AT TIME ZONE 'UTC')::date;
BEGIN
  IF NOT pg_try_advisory_xact_lock(7738201) THEN
    RETURN 0;
  END IF;
  PERFORM set_config('lock_timeout', '2s', true);
  FOREACH parent IN ARRAY ARRAY['event', 'notification', 'attempt', 'receipt'] LOOP
    FOR offset_days IN -2..ahead LOOP
      day := today + offset_days;
      child := parent || '_p' || to_char(day, 'YYYYMMDD');
      CONTINUE WHEN to_regclass(child) IS NOT NULL;
      EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', child, parent);
      EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                     parent, child, pruuf_day_floor(day), pruuf_day_floor(day + 1));
      made := made + 1;
    END LOOP;
  END LOOP;
  RETURN made;
END $$;

-- Days from today on, without a gap, for which every partitioned table has its partition.
CREATE FUNCTION pruuf_partition_days() RETURNS integer LANGUAGE sql STABLE AS $$
  SELECT coalesce(min(ahead), 61) FROM generate_series(0, 60) ahead
  WHERE 4 > (SELECT count(*) FROM unnest(ARRAY['event', 'notification', 'attempt', 'receipt']) parent
             WHERE to_regclass(parent || '_p' || to_char((now() AT TIME ZONE 'UTC')::date + ahead, 'YYYYMMDD')) IS NOT NULL)
$$;

-- Who may do what. Processes assume one of these roles; none of them owns anything.
GRANT USAGE ON SCHEMA public TO pruuf_gateway, pruuf_relay, pruuf_dashboard;
GRANT SELECT ON alembic_version TO pruuf_gateway, pruuf_relay, pruuf_dashboard;
REVOKE EXECUTE ON FUNCTION pruuf_make_partitions(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pruuf_make_partitions(integer) TO pruuf_relay;

GRANT SELECT, INSERT, UPDATE ON event_key, alert TO pruuf_gateway;
GRANT SELECT, INSERT ON event, notification, due, inbox TO pruuf_gateway;
GRANT SELECT ON attempt, receipt, lane, relay TO pruuf_gateway;
GRANT SELECT, INSERT, UPDATE, DELETE ON recipient, device TO pruuf_gateway;
GRANT SELECT ON api_key TO pruuf_gateway;
GRANT UPDATE (last_used_at) ON api_key TO pruuf_gateway;

GRANT SELECT ON event, recipient TO pruuf_relay;
GRANT SELECT, INSERT ON attempt, receipt TO pruuf_relay;
GRANT SELECT, INSERT, UPDATE ON notification, alert TO pruuf_relay;
GRANT SELECT, INSERT, UPDATE, DELETE ON due, relay TO pruuf_relay;
GRANT SELECT, UPDATE ON lane TO pruuf_relay;
GRANT SELECT, INSERT, UPDATE, DELETE ON inbox TO pruuf_relay;
GRANT SELECT ON device TO pruuf_relay;
GRANT UPDATE (dead_at) ON device TO pruuf_relay;

-- The dashboard reads no sealed column and no keyed hash.
GRANT SELECT (shard, id, source, source_id, type, subject, occurred_at, accepted_at, traceparent)
  ON event TO pruuf_dashboard;
GRANT SELECT (shard, id, event, subject, recipient, kind, lane, plan, template, locale, state, reason,
              proof, channel, steps_taken, created_at, expires_at, final_at)
  ON notification TO pruuf_dashboard;
GRANT SELECT (shard, id, provider, lane, received_at, done_at, note) ON inbox TO pruuf_dashboard;
GRANT SELECT (shard, id, locale, timezone, created_at, updated_at) ON recipient TO pruuf_dashboard;
GRANT SELECT (shard, recipient, id, address_kind, platform, seen_at, dead_at) ON device TO pruuf_dashboard;
GRANT SELECT ON due, lane, alert, attempt, receipt, relay TO pruuf_dashboard;
