-- What people do to callbacks that could not be applied.

-- Since when it waits once more; null: nobody put it back.
ALTER TABLE inbox ADD COLUMN redriven_at timestamptz;
CREATE INDEX inbox_failed ON inbox (shard, id) WHERE note LIKE 'cannot be %';

-- Who put a callback back, and why it had failed before. Append-only, kept for ever.
CREATE TABLE inbox_action (
  shard smallint NOT NULL,                -- of the callback
  id uuid NOT NULL,
  callback uuid NOT NULL,
  actor text NOT NULL,                    -- an API key's id and name, or the login of a command line
  reason text NOT NULL,
  result text NOT NULL,
  error text,                             -- why it could not be applied; null where nothing had failed
  at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (shard, id),
  CHECK (result IN ('redriven', 'in_flight', 'already_final'))
);
CREATE INDEX inbox_action_callback ON inbox_action (shard, callback);

-- Puts back a callback that could not be applied, and records it; null: there is no such callback. As the
-- owner: a gateway may neither take a callback out of the inbox, nor put one back unrecorded.
CREATE FUNCTION pruuf_redrive_callback(
  in_shard smallint, in_callback uuid, in_action uuid, in_actor text, in_reason text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  seen record;
  result text;
BEGIN
  SELECT done_at, note INTO seen FROM inbox WHERE shard = in_shard AND id = in_callback FOR UPDATE;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
  result := CASE WHEN seen.done_at IS NULL THEN 'in_flight'
                 WHEN seen.note LIKE 'cannot be %' THEN 'redriven'
                 ELSE 'already_final' END;
  IF result = 'redriven' THEN
    UPDATE inbox SET done_at = NULL, note = NULL, redriven_at = now() WHERE shard = in_shard AND id = in_callback;
  END IF;
  INSERT INTO inbox_action (shard, id, callback, actor, reason, result, error)
  VALUES (in_shard, in_action, in_callback, in_actor, in_reason, result,
          CASE WHEN result = 'redriven' THEN seen.note END);
  RETURN result;
END
$$;
REVOKE EXECUTE ON FUNCTION pruuf_redrive_callback(smallint, uuid, uuid, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pruuf_redrive_callback(smallint, uuid, uuid, text, text) TO pruuf_gateway;

GRANT SELECT ON inbox_action TO pruuf_gateway, pruuf_dashboard, pruuf_auditor;
GRANT SELECT (redriven_at) ON inbox TO pruuf_dashboard;
