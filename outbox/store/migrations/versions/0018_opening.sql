-- Somebody opened what is sealed of a recipient: stored before it is shown. Append-only, kept for ever; it
-- holds nothing of what was opened.
CREATE TABLE opening (
  shard smallint NOT NULL,                -- of the recipient
  id uuid NOT NULL,
  recipient text NOT NULL,
  actor text NOT NULL,                    -- an API key's id and name
  reason text NOT NULL,
  at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (shard, id)
);
CREATE INDEX opening_recipient ON opening (shard, recipient, id);

GRANT SELECT, INSERT ON opening TO pruuf_gateway;
GRANT SELECT ON opening TO pruuf_dashboard, pruuf_auditor;
