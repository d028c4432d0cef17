-- Texts, names and addresses go: after a while, of what is finished; and with the person who asks for it.

-- When its content was emptied; null: it is there. The dashboard may know that, though not the content.
ALTER TABLE notification ADD COLUMN content_dropped_at timestamptz;

-- How far each kind of data is dropped. A relay holds the row while it drops some, so that one of all does.
CREATE TABLE retention (
  shard smallint NOT NULL,                -- 0: of all shards
  what text NOT NULL,
  until timestamptz,                      -- what is older is gone; null: nothing was looked at yet
  dropped bigint NOT NULL DEFAULT 0,      -- rows, ever since
  looked_at timestamptz,                  -- the last time; null: never
  PRIMARY KEY (shard, what)
) WITH (fillfactor = 50);
INSERT INTO retention (shard, what)
SELECT 0, unnest(ARRAY['texts', 'late_texts', 'events', 'callbacks', 'keys', 'revocations', 'figures']);

CREATE INDEX revocation_kept ON revocation (decided_at) WHERE length(body) > 0 AND decided_at IS NOT NULL;

-- Who asked to be forgotten. Everything of theirs that was stored until then is emptied by a relay; the row
-- stays, so that an audit can tell whether it was.
CREATE TABLE erasure (
  shard smallint NOT NULL,                -- of the recipient
  recipient text NOT NULL,
  asked_at timestamptz NOT NULL DEFAULT now(),
  before xid8 NOT NULL DEFAULT pg_current_xact_id(), -- its own transaction: those of lower numbers may store what is older
  numbers bytea[] NOT NULL DEFAULT '{}',  -- keyed hashes of their numbers, by every look-up key; empty at the end
  read_at timestamptz,                    -- when all events were read for their name; null: not yet
  emptied bigint NOT NULL DEFAULT 0,      -- rows so far
  waits_for text,                         -- why it is not at its end; null: nobody has looked, or it is
  next_at timestamptz NOT NULL DEFAULT now(), -- when a relay looks at it again
  done_at timestamptz,                    -- null: there may still be something of theirs
  PRIMARY KEY (shard, recipient),
  CHECK (done_at IS NULL OR (numbers = '{}' AND waits_for IS NULL))
);
CREATE INDEX erasure_open ON erasure (next_at) WHERE done_at IS NULL;

-- Bodies that name somebody who got no notification of them: a missed check-in that is repeated while its
-- alert is open, and an invitation. Both are few beside the check-ins that are confirmed.
CREATE INDEX event_missed ON event (shard, subject, id) WHERE type = 'checkin.missed';
CREATE INDEX event_invited ON event (shard, id) WHERE type = 'member.invited';

-- Empties the bodies of events, as the owner: a relay may not write anything else into one.
CREATE FUNCTION pruuf_empty_events(in_shard smallint, in_ids uuid[]) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  emptied integer;
BEGIN
  UPDATE event SET data = '' WHERE shard = in_shard AND id = ANY(in_ids) AND length(data) > 0
    -- So that it looks at the partitions of these ids alone.
    AND id BETWEEN (SELECT i FROM unnest(in_ids) i ORDER BY i LIMIT 1)
               AND (SELECT i FROM unnest(in_ids) i ORDER BY i DESC LIMIT 1);
  GET DIAGNOSTICS emptied = ROW_COUNT;
  RETURN emptied;
END
$$;
REVOKE EXECUTE ON FUNCTION pruuf_empty_events(smallint, uuid[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pruuf_empty_events(smallint, uuid[]) TO pruuf_relay;

-- Drops idempotency keys whose time is over, as the owner: those of safety and billing have none.
CREATE FUNCTION pruuf_drop_keys(in_begin timestamptz, in_end timestamptz, in_most integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  dropped integer;
BEGIN
  DELETE FROM event_key k USING (
    SELECT shard, source, source_id FROM event_key
    WHERE created_at >= in_begin AND created_at < in_end AND expires_at < now() LIMIT in_most) old
  WHERE k.shard = old.shard AND k.source = old.source AND k.source_id = old.source_id AND k.expires_at < now();
  GET DIAGNOSTICS dropped = ROW_COUNT;
  RETURN dropped;
END
$$;
REVOKE EXECUTE ON FUNCTION pruuf_drop_keys(timestamptz, timestamptz, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pruuf_drop_keys(timestamptz, timestamptz, integer) TO pruuf_relay;

-- Records that something pending was withdrawn as its recipient is erased, as the owner: a relay may record
-- nothing else among what people did.
CREATE FUNCTION pruuf_record_erasure(in_shard smallint, in_action uuid, in_notification uuid, in_result text)
RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
  INSERT INTO action (shard, id, notification, what, actor, reason, result)
  VALUES (in_shard, in_action, in_notification, 'cancel', 'erasure', 'the person asked to be forgotten', in_result)
$$;
REVOKE EXECUTE ON FUNCTION pruuf_record_erasure(smallint, uuid, uuid, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pruuf_record_erasure(smallint, uuid, uuid, text) TO pruuf_relay;

GRANT SELECT, UPDATE ON retention, erasure TO pruuf_relay;
GRANT SELECT, INSERT, UPDATE ON erasure TO pruuf_gateway;
GRANT SELECT ON retention, erasure TO pruuf_auditor;
GRANT SELECT ON retention TO pruuf_dashboard;
GRANT SELECT (shard, recipient, asked_at, read_at, emptied, waits_for, next_at, done_at) ON erasure TO pruuf_dashboard;
GRANT SELECT (content_dropped_at) ON notification TO pruuf_dashboard;
