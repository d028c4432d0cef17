-- What `pruuf audit` proves with: when each fact was stored, the roots over all facts, and what the
-- passes found. A role of its own reads the ledger and writes these tables: no other process may.

-- Both tables are partitioned by their notification's day, which may lie days before. The default
-- serves processes that do not know of the column.
ALTER TABLE attempt ADD COLUMN stored_at timestamptz NOT NULL DEFAULT now();
ALTER TABLE receipt ADD COLUMN stored_at timestamptz NOT NULL DEFAULT now();

-- Facts of a minute, found without a tree that every insert would have to keep: rows lie in the
-- order in which they came. final_at changes with the row's last move only.
CREATE INDEX event_stored ON event USING brin (accepted_at) WITH (pages_per_range = 16, autosummarize = on);
CREATE INDEX event_key_stored ON event_key USING brin (created_at) WITH (pages_per_range = 16, autosummarize = on);
CREATE INDEX notification_stored ON notification USING brin (created_at, final_at)
  WITH (pages_per_range = 16, autosummarize = on);
CREATE INDEX attempt_stored ON attempt USING brin (stored_at) WITH (pages_per_range = 16, autosummarize = on);
CREATE INDEX receipt_stored ON receipt USING brin (stored_at) WITH (pages_per_range = 16, autosummarize = on);
-- What is not final, however much is.
CREATE INDEX notification_open ON notification (shard, id) WHERE final_at IS NULL;

-- One row for each shard and minute in which something was stored. Append-only.
CREATE TABLE audit_root (
  shard smallint NOT NULL,
  minute timestamptz NOT NULL,            -- its beginning, by the database's clock
  facts integer NOT NULL,                 -- leaves
  leaves bytea NOT NULL,                  -- sorted; each names its row and ends with a keyed hash of it
  root bytea NOT NULL,                    -- of the Merkle tree over the leaves
  key_id bytea NOT NULL,                  -- of the look-up key that the keyed hashes are made with
  link bytea NOT NULL,                    -- keyed hash of the shard's link before, this minute and its root
  made_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (shard, minute),
  CHECK (facts > 0)
);
ALTER TABLE audit_root ALTER COLUMN leaves SET STORAGE EXTERNAL;

-- How far a shard's roots go, so that the newest of them cannot be taken away either.
CREATE TABLE audit_head (
  shard smallint NOT NULL,
  until timestamptz,                      -- what was stored before is in a root; null: nothing is yet
  newest timestamptz,                     -- minute of the newest root; null: there is none
  link bytea NOT NULL DEFAULT '',         -- of the newest root
  key_id bytea NOT NULL DEFAULT '',
  mac bytea NOT NULL DEFAULT '',          -- keyed hash of all that is above
  seen_at timestamptz,                    -- a moment, and the newest transaction that was known then:
  seen_xid xid8,                          -- roots follow once everything before it has ended
  PRIMARY KEY (shard)
);
INSERT INTO audit_head (shard) SELECT generate_series(0, 15);

-- Notifications accepted, counted as they came into a root.
CREATE TABLE audit_count (
  shard smallint NOT NULL,
  day date NOT NULL,
  kind text NOT NULL,
  accepted bigint NOT NULL,
  PRIMARY KEY (shard, day, kind)
) WITH (fillfactor = 50);

-- The newest pass, for all relays' metrics and for people.
CREATE TABLE audit_pass (
  shard smallint NOT NULL,                -- 0
  at timestamptz NOT NULL,                -- its snapshot
  took_s float8 NOT NULL,
  clean_at timestamptz,                   -- of the newest pass that found nothing
  accepted bigint NOT NULL,
  final bigint NOT NULL,
  pending bigint NOT NULL,
  parked bigint NOT NULL,
  offenders jsonb NOT NULL,               -- by check: how many
  checked_until timestamptz,              -- older roots are checked anew, some in each pass: how far it is
  PRIMARY KEY (shard)
);

GRANT USAGE ON SCHEMA public TO pruuf_auditor;
GRANT SELECT ON alembic_version, event_key, event, notification, due, lane, alert, attempt, receipt, inbox,
  recipient, device, suppression, revocation, action, verification, relay TO pruuf_auditor;
GRANT SELECT, INSERT ON audit_root TO pruuf_auditor;
GRANT SELECT, INSERT, UPDATE ON audit_head, audit_count, audit_pass TO pruuf_auditor;
GRANT SELECT ON audit_pass TO pruuf_relay, pruuf_gateway, pruuf_dashboard;
GRANT SELECT ON audit_count TO pruuf_dashboard;
GRANT SELECT (shard, until, newest) ON audit_head TO pruuf_dashboard;
