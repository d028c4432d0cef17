-- Somebody who is on call knows of an alert: nobody is paged for it again until the time is over, or until it
-- fires anew after it had ended. Append-only but for its end, kept for ever.
CREATE TABLE acknowledgement (
  shard smallint NOT NULL,                -- 0, as all that the relays share
  id uuid NOT NULL,
  alert text NOT NULL,                    -- as in observability/slos.toml
  label text NOT NULL,                    -- what it is about, as the provider; of Parked a reason; empty for none
  actor text NOT NULL,                    -- an API key's id and name, or the login of a command line
  reason text NOT NULL,
  at timestamptz NOT NULL DEFAULT now(),
  until timestamptz NOT NULL,
  -- Both are null until it ends before its time.
  ended_at timestamptz,
  ended_why text,                         -- over: it fires no more; replaced: by another one, or taken back
  PRIMARY KEY (shard, id),
  -- Longer than a shift would be a way of not having the alert.
  CHECK (until > at AND until <= at + interval '8 hours'),
  CHECK ((ended_at IS NULL) = (ended_why IS NULL) AND ended_at >= at),
  CHECK (ended_why IN ('over', 'replaced'))
);
CREATE INDEX acknowledgement_open ON acknowledgement (shard, until) WHERE ended_at IS NULL;

GRANT SELECT, INSERT ON acknowledgement TO pruuf_gateway;
GRANT UPDATE (ended_at, ended_why) ON acknowledgement TO pruuf_gateway, pruuf_relay;
GRANT SELECT ON acknowledgement TO pruuf_relay, pruuf_dashboard, pruuf_auditor;
