-- What the objectives (observability/slos.toml) are judged by: outcomes counted by the minute, kept
-- for 400 days, whatever happens to processes and partitions.

-- Counted once each, behind the facts; a minute that is counted does not change any more, but for
-- what the gateways add to it, which say what no fact tells (an answer 503). No personal data.
CREATE TABLE rollup_minute (
  shard smallint NOT NULL,                -- 0: counted over all shards
  minute timestamptz NOT NULL,            -- its beginning
  slo text NOT NULL,
  outcome text NOT NULL,                  -- one of those that the objective names
  kind text NOT NULL,                     -- of the notification; of a webhook: the provider; '': none
  code text NOT NULL,                     -- why, as far as a code tells it; '': none
  n bigint NOT NULL,
  PRIMARY KEY (shard, minute, slo, outcome, kind, code),
  CHECK (n > 0),
  CHECK (minute = date_trunc('minute', minute, 'UTC'))
) WITH (fillfactor = 80);

-- How far each objective is counted. A relay holds the row while it counts, and moves it in the
-- transaction that stores what it counted: nothing is counted twice, nothing is left out.
CREATE TABLE rollup_head (
  shard smallint NOT NULL,                -- 0
  slo text NOT NULL,
  until timestamptz NOT NULL,             -- minutes before are counted
  PRIMARY KEY (shard, slo)
) WITH (fillfactor = 50);

-- Age of the oldest transaction that keeps dead rows from being cleaned away. As the owner, who sees
-- the sessions of the login that all processes share.
CREATE FUNCTION pruuf_oldest_transaction_s() RETURNS float8
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT greatest(
    coalesce((SELECT max(extract(epoch FROM now() - xact_start)) FROM pg_stat_activity
              WHERE datname = current_database() AND backend_xmin IS NOT NULL
                AND backend_type = 'client backend'), 0),
    coalesce((SELECT max(extract(epoch FROM now() - prepared)) FROM pg_prepared_xacts
              WHERE database = current_database()), 0))::float8
$$;
REVOKE EXECUTE ON FUNCTION pruuf_oldest_transaction_s() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pruuf_oldest_transaction_s() TO pruuf_relay, pruuf_dashboard;

GRANT SELECT, INSERT, UPDATE, DELETE ON rollup_minute TO pruuf_relay;
GRANT SELECT, INSERT, UPDATE ON rollup_head TO pruuf_relay;
GRANT SELECT, INSERT, UPDATE ON rollup_minute TO pruuf_gateway;
GRANT SELECT ON rollup_minute, rollup_head TO pruuf_dashboard, pruuf_auditor;
