-- Stripe's events that were of no account that is known: as soon as one is, they are applied.
CREATE TABLE billing_unowned (
  shard smallint NOT NULL,                -- of its row in the inbox
  id text NOT NULL,                       -- Stripe's, of the event
  names text[] NOT NULL,                  -- whose account becomes known is the owner: customer, invoice, payment, …
  heard_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (shard, id)
);
CREATE INDEX billing_unowned_names ON billing_unowned USING gin (names);

GRANT SELECT, INSERT, UPDATE, DELETE ON billing_unowned TO pruuf_relay;
GRANT SELECT ON billing_unowned TO pruuf_dashboard, pruuf_auditor;
