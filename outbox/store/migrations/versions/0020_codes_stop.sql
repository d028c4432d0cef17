-- A country to which no one-time code goes for a while, since hardly any that went there was used: written by
-- a relay that measured it, obeyed by every gateway. Codes alone ask for it; nothing else is ever stopped.
CREATE TABLE codes_stop (
  shard smallint NOT NULL,                -- 0
  country text NOT NULL,
  since timestamptz NOT NULL DEFAULT now(),
  until timestamptz NOT NULL,
  sent integer NOT NULL,                  -- of the hour that was measured
  approved integer NOT NULL,
  PRIMARY KEY (shard, country),
  CHECK (until > since)
);

GRANT SELECT ON codes_stop TO pruuf_gateway, pruuf_dashboard, pruuf_auditor;
GRANT SELECT, INSERT, UPDATE ON codes_stop TO pruuf_relay;
