-- A person holds a provider, or one sender of it: no relay calls it until the time is over or somebody
-- releases it. A relay of the release before does not know of it: deploy the relays before it is relied on.
CREATE TABLE provider_hold (
  shard smallint NOT NULL,                -- 0, as all that the relays share
  id uuid NOT NULL,
  provider text NOT NULL,
  sender text NOT NULL,                   -- keyed hash as in breaker; empty: all of the provider
  actor text NOT NULL,                    -- an API key's id and name, or the login of a command line
  reason text NOT NULL,
  at timestamptz NOT NULL DEFAULT now(),
  until timestamptz NOT NULL,
  -- All three are null until somebody ends it before its time, by a release or by another hold.
  released_at timestamptz,
  released_by text,
  released_why text,
  PRIMARY KEY (shard, id),
  CHECK (provider IN ('twilio', 'fcm', 'fcm_topics', 'stripe')),
  -- What is forgotten ends by itself.
  CHECK (until > at AND until <= at + interval '1 day'),
  CHECK ((released_at IS NULL) = (released_by IS NULL) AND (released_at IS NULL) = (released_why IS NULL)),
  CHECK (released_at >= at)
);
CREATE INDEX provider_hold_open ON provider_hold (shard, until) WHERE released_at IS NULL;

-- When a relay that uses this sender said so last; null: a relay of the release before.
ALTER TABLE breaker ADD COLUMN seen_at timestamptz;

-- How many notifications wait that may still go by one of these channels: those of the safety lane, how many
-- of them have no other way while the channels of in_down are not called, and those of other lanes. As the
-- owner: whether somebody has a number is told by a hash. Counts no more than 10,000 of either.
CREATE FUNCTION pruuf_hold_touches(in_channels text[], in_down text[])
RETURNS TABLE (alerts bigint, stranded bigint, others bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
  WITH waiting AS (
    (SELECT d.lane, n.recipient, n.phone_hash, n.plan, d.step + (d.work IN (1, 3))::integer AS following
     FROM due d JOIN notification n ON n.shard = d.shard AND n.id = d.notification
     WHERE d.lane = 0 AND NOT d.cancel AND d.due_at < 'infinity' AND n.kind NOT LIKE 'canary.%' LIMIT 10000)
    UNION ALL
    (SELECT d.lane, n.recipient, n.phone_hash, n.plan, d.step + (d.work IN (1, 3))::integer
     FROM due d JOIN notification n ON n.shard = d.shard AND n.id = d.notification
     WHERE d.lane <> 0 AND NOT d.cancel AND d.due_at < 'infinity' LIMIT 10000)),
  -- What is awaited was called already: only its later steps are still to be called.
  ways AS (
    SELECT w.lane,
           bool_or(s.step ->> 'channel' = ANY(in_channels)) AS touched,
           bool_or(s.step ->> 'channel' <> ALL(in_down)
             AND CASE s.step ->> 'channel'
                   WHEN 'sms' THEN w.phone_hash IS NOT NULL
                   WHEN 'push' THEN EXISTS (
                     SELECT FROM device v WHERE v.recipient = w.recipient AND v.dead_at IS NULL)
                   ELSE true END) AS another
    FROM (SELECT *, row_number() OVER () AS one FROM waiting) w
    CROSS JOIN LATERAL json_array_elements(convert_from(w.plan, 'UTF8')::json -> 'steps')
      WITH ORDINALITY s(step, place)
    WHERE s.place > w.following
    GROUP BY w.one, w.lane)
  SELECT count(*) FILTER (WHERE lane = 0 AND touched),
         count(*) FILTER (WHERE lane = 0 AND touched AND NOT another),
         count(*) FILTER (WHERE lane <> 0 AND touched)
  FROM ways
$$;
REVOKE EXECUTE ON FUNCTION pruuf_hold_touches(text[], text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pruuf_hold_touches(text[], text[]) TO pruuf_gateway, pruuf_dashboard;

GRANT SELECT, INSERT ON provider_hold TO pruuf_gateway;
GRANT UPDATE (released_at, released_by, released_why) ON provider_hold TO pruuf_gateway;
GRANT SELECT ON provider_hold TO pruuf_relay, pruuf_dashboard, pruuf_auditor;
