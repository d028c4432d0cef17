-- What watches billing. Nothing here is read when an alert is delivered.

-- What is wrong just now: rules that our own rows break, and differences between Stripe's books and ours.
CREATE TABLE billing_finding (
  shard smallint NOT NULL,                -- 0
  source text NOT NULL,                   -- rules: of our own rows | stripe: of both sides' books
  cause text NOT NULL,
  object text NOT NULL,                   -- Stripe's name of what is wrong, or the account's id
  account text,                           -- null: of no account of ours
  amount bigint NOT NULL DEFAULT 0,       -- cents at stake
  detail text NOT NULL,                   -- ours and theirs in words; no names, no addresses
  found_at timestamptz NOT NULL DEFAULT now(),  -- for the first time
  PRIMARY KEY (shard, source, cause, object),
  CHECK (source IN ('rules', 'stripe'))
);

-- When somebody looked last, and what was counted.
CREATE TABLE billing_watch (
  shard smallint NOT NULL,                -- 0
  source text NOT NULL,
  looked_at timestamptz NOT NULL,         -- the newest whole pass
  took_s float8 NOT NULL,
  looked_at_rows bigint NOT NULL,         -- how much it looked at
  PRIMARY KEY (shard, source)
);

-- What the reconciler's walk has met at Stripe; what it has not met is asked for by name.
CREATE TABLE billing_met (
  shard smallint NOT NULL,                -- 0
  walk text NOT NULL,                     -- schedule, or the id of one that somebody asked for
  object text NOT NULL,
  differs boolean NOT NULL,               -- from ours, at that moment: it is looked at again
  met_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (shard, walk, object)
);

-- What an account's person was told, each thing once.
CREATE TABLE billing_notice (
  shard smallint NOT NULL,                -- of the account
  account text NOT NULL,
  what text NOT NULL,                     -- trial_7, payment_failed, …
  period text NOT NULL,                   -- which trial, invoice, refund, … it is about
  notification uuid NOT NULL,
  made_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (shard, account, what, period)
);
CREATE INDEX billing_notice_notification ON billing_notice (shard, notification);

INSERT INTO billing_cursor (shard, name) VALUES (0, 'reconcile');

CREATE INDEX subscription_trial_end ON subscription (trial_end) WHERE status = 'trialing';
CREATE INDEX subscription_met ON subscription (created_at);
CREATE INDEX invoice_unpaid ON invoice (failed_at) WHERE status IN ('open', 'uncollectible');

CREATE INDEX billing_event_stored ON billing_event (stored_at);

GRANT SELECT, INSERT, UPDATE, DELETE ON billing_finding, billing_watch, billing_met TO pruuf_relay;
GRANT SELECT, INSERT ON billing_notice TO pruuf_relay;
GRANT SELECT ON billing_finding, billing_watch, billing_notice TO pruuf_gateway, pruuf_dashboard, pruuf_auditor;

-- What is true just now and worth telling the person of an account that pays; never of a Member, and of
-- nobody who was one. The one place that says so: it is read when a text is made, and again when it is sent.
CREATE VIEW billing_told AS
WITH payer AS (
  SELECT shard, id, wish, wish_at FROM account
  WHERE role = 'contact' AND member_at IS NULL AND opened_at IS NOT NULL),
unpaid AS (
  SELECT i.*, i.failed_at + interval '14 days' AS until
  FROM invoice i
  JOIN subscription s ON s.shard = i.shard AND s.id = i.subscription
  WHERE i.status IN ('open', 'uncollectible') AND i.attempts > 0
    AND s.status IN ('past_due', 'unpaid', 'incomplete') AND i.failed_at > now() - interval '14 days')
SELECT p.shard, p.id AS account,
       CASE WHEN s.trial_end <= now() + interval '1 day' THEN 'trial_1'
            WHEN s.trial_end <= now() + interval '3 days' THEN 'trial_3' ELSE 'trial_7' END AS what,
       s.id || ':' || extract(epoch FROM s.trial_end)::bigint AS period, s.trial_end AS at, NULL::text AS decline
FROM payer p JOIN subscription s ON s.shard = p.shard AND s.account = p.id
WHERE s.status = 'trialing' AND NOT s.cancel_at_period_end AND p.wish = 'subscribed'
  AND s.trial_end > now() AND s.trial_end <= now() + interval '7 days'
UNION ALL
-- Why it failed is told a little later than that it did; without a reason it is said in general.
SELECT p.shard, p.id, 'payment_failed', u.id, u.until, u.decline
FROM payer p JOIN unpaid u ON u.shard = p.shard AND u.account = p.id
WHERE u.decline IS NOT NULL OR u.failed_at < now() - interval '10 minutes'
UNION ALL
SELECT p.shard, p.id, 'access_ending', u.id, u.until, NULL
FROM payer p JOIN unpaid u ON u.shard = p.shard AND u.account = p.id
WHERE u.until <= now() + interval '3 days'
  AND NOT EXISTS (
    SELECT FROM invoice i WHERE i.shard = u.shard AND i.account = u.account AND i.attempts > 0
     AND i.status IN ('open', 'uncollectible') AND i.failed_at < u.failed_at)
UNION ALL
SELECT p.shard, p.id, 'disputed', r.id, r.created_at, NULL
FROM payer p JOIN reversal r ON r.shard = p.shard AND r.account = p.id
WHERE r.kind = 'dispute' AND r.created_at > now() - interval '30 days'
  AND r.status IN ('needs_response', 'under_review', 'warning_needs_response', 'warning_under_review')
UNION ALL
SELECT p.shard, p.id, 'refunded', r.id, r.created_at, NULL
FROM payer p JOIN reversal r ON r.shard = p.shard AND r.account = p.id
WHERE r.kind = 'refund' AND r.status = 'succeeded' AND r.created_at > now() - interval '7 days'
UNION ALL
-- By a card that was saved at Stripe; where the person asked for it, that word is what is answered.
SELECT p.shard, p.id, 'resumed', b.source_id, b.at, NULL
FROM payer p
JOIN billing_event b ON b.shard = p.shard AND b.account = p.id AND b.source = 'stripe'
 AND b.type = 'customer.subscription.resumed' AND b.at > now() - interval '3 days'
JOIN subscription s ON s.shard = b.shard AND s.id = b.object
WHERE s.status = 'active' AND NOT s.cancel_at_period_end AND NOT EXISTS (
  SELECT FROM billing_event w WHERE w.shard = b.shard AND w.account = b.account AND w.source = 'backend'
   AND w.type = 'billing.subscription_resumed' AND w.at BETWEEN b.at - interval '1 day' AND b.at + interval '1 hour')
UNION ALL
SELECT p.shard, p.id, 'resumed', b.source_id, b.at, NULL
FROM payer p
JOIN billing_event b ON b.shard = p.shard AND b.account = p.id AND b.source = 'backend'
 AND b.type = 'billing.subscription_resumed' AND b.at = p.wish_at AND b.at > now() - interval '3 days'
WHERE p.wish = 'subscribed'
  AND EXISTS (
    SELECT FROM subscription s WHERE s.shard = p.shard AND s.account = p.id AND NOT s.cancel_at_period_end
     AND s.status IN ('active', 'trialing'))
  AND NOT EXISTS (SELECT FROM due d WHERE d.shard = b.shard AND d.notification = b.notification);

GRANT SELECT ON billing_told TO pruuf_relay, pruuf_dashboard, pruuf_auditor;
