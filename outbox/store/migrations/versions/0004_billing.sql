-- Billing: who pays, what Stripe has of them, and every fact with its reason. Nothing here is read
-- when an alert is delivered. Rows are kept for ever; no card data is, here or anywhere.

-- One row per account serialises its life: it is locked before anything is decided from it, after
-- an alert and before any due row.
CREATE TABLE account (
  shard smallint NOT NULL,                -- of the id, which may be a recipient's, too
  id text NOT NULL,
  role text,                              -- member | contact; null: only other words came yet
  role_at timestamptz,                    -- since when, by the backend's word
  opened_at timestamptz,                  -- null: not opened yet
  member_at timestamptz,                  -- when it was a Member for the first time: free ever since
  member_by text,                         -- who decided that, and why
  member_why text,
  wish text NOT NULL DEFAULT 'subscribed',
  wish_at timestamptz,
  email bytea,                            -- sealed; null: not told, or erased
  email_at timestamptz,
  customer text,                          -- Stripe's name for it; null: Stripe does not know it yet
  customer_gone_at timestamptz,           -- the customer was deleted at Stripe
  default_method text,                    -- Stripe's name of what is charged
  credit bigint NOT NULL DEFAULT 0,       -- cents that Stripe holds for the customer
  seen_at timestamptz,                    -- of the customer: Stripe's time of the newest event applied
  seen text[] NOT NULL DEFAULT '{}',      -- ids of the events of that very second
  changed_at timestamptz NOT NULL DEFAULT now(), -- what is known of the customer
  commands integer NOT NULL DEFAULT 0,    -- counts them, so that they are carried out in order
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (shard, id),
  CHECK (role IN ('member', 'contact')),
  CHECK ((role IS NULL) = (role_at IS NULL)),
  CHECK (wish IN ('subscribed', 'ending', 'ended')),
  CHECK ((member_at IS NULL) = (member_by IS NULL) AND (member_at IS NULL) = (member_why IS NULL)),
  CHECK (role <> 'member' OR member_at IS NOT NULL),
  CHECK (customer IS NOT NULL OR (default_method IS NULL AND credit = 0))
);
-- Stripe speaks of customers: not by shard, as none is known there.
CREATE INDEX account_customer ON account (customer) WHERE customer IS NOT NULL;

CREATE TABLE subscription (
  shard smallint NOT NULL,                -- of its account
  id text NOT NULL,                       -- Stripe's
  account text NOT NULL,
  customer text NOT NULL,
  status text NOT NULL,
  price text,
  trial_end timestamptz,
  period_start timestamptz,               -- of its item, where Stripe keeps it
  period_end timestamptz,
  cancel_at_period_end boolean NOT NULL,
  collection_paused boolean NOT NULL,     -- Stripe's pause_collection, which is not the status paused
  canceled_at timestamptz,                -- when it was asked to end
  ended_at timestamptz,
  end_reason text,                        -- Stripe's: cancellation_requested, payment_failed, …
  latest_invoice text,
  default_method text,                    -- before the customer's own; null: that one is charged
  created_at timestamptz NOT NULL,        -- at Stripe
  seen_at timestamptz,                    -- Stripe's time of the newest event applied; null: only answers
  seen text[] NOT NULL DEFAULT '{}',
  changed_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (shard, id),
  CHECK (status IN ('incomplete', 'incomplete_expired', 'trialing', 'active', 'past_due', 'unpaid', 'paused', 'canceled')),
  CHECK ((status IN ('incomplete_expired', 'canceled')) = (ended_at IS NOT NULL))
);
CREATE INDEX subscription_account ON subscription (shard, account);

CREATE TABLE invoice (
  shard smallint NOT NULL,                -- of its account
  id text NOT NULL,
  account text NOT NULL,
  subscription text,                      -- null: for something else
  status text NOT NULL,
  reason text,                            -- Stripe's: subscription_create, subscription_cycle, …
  currency text NOT NULL,
  due bigint NOT NULL,                    -- cents, tax included: the arithmetic is Stripe's
  paid bigint NOT NULL,
  remaining bigint NOT NULL,
  attempts integer NOT NULL,
  next_attempt_at timestamptz,            -- null: Stripe tries no more
  period_start timestamptz,
  period_end timestamptz,
  link text,                              -- Stripe's page for it
  finalized_at timestamptz,
  paid_at timestamptz,
  failed_at timestamptz,                  -- when paying it failed for the first time; null: it did not
  decline text,                           -- code of the newest failure; null once it is settled
  action text,                            -- what the customer must do: confirm; null: nothing, or settled
  fault text,                             -- why it could not be made final; null: it could, or was not tried
  intent text,                            -- the payment that settled it
  created_at timestamptz NOT NULL,
  seen_at timestamptz,
  seen text[] NOT NULL DEFAULT '{}',
  changed_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (shard, id),
  CHECK (status IN ('draft', 'open', 'paid', 'uncollectible', 'void', 'deleted')),
  CHECK (attempts >= 0)
);
CREATE INDEX invoice_account ON invoice (shard, account, created_at);
CREATE INDEX invoice_intent ON invoice (intent) WHERE intent IS NOT NULL;

-- A way to pay: Stripe's name for it, and the month in which it ends. No number, no holder.
CREATE TABLE payment_method (
  shard smallint NOT NULL,                -- of its account
  id text NOT NULL,
  account text NOT NULL,
  type text NOT NULL,                     -- card, …
  expires_at timestamptz,                 -- end of the month; null: it does not
  attached boolean NOT NULL,
  renewed_at timestamptz,                 -- the bank gave a new expiry by itself
  created_at timestamptz NOT NULL,
  seen_at timestamptz,
  seen text[] NOT NULL DEFAULT '{}',
  changed_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (shard, id)
);
CREATE INDEX payment_method_account ON payment_method (shard, account);

-- What went back, or may: refunds, how much of a charge that is all in all, disputes, and warnings
-- before them.
CREATE TABLE reversal (
  shard smallint NOT NULL,                -- of its account
  id text NOT NULL,
  account text NOT NULL,
  kind text NOT NULL,
  status text NOT NULL,                   -- Stripe's own; of a warning: actionable | past
  amount bigint NOT NULL,
  currency text NOT NULL,
  reason text,
  intent text,                            -- the payment it is about
  evidence_by timestamptz,                -- of a dispute
  withdrawn bigint,                       -- of a dispute: cents that were taken, less those given back; null: not told
  created_at timestamptz NOT NULL,
  seen_at timestamptz,
  seen text[] NOT NULL DEFAULT '{}',
  changed_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (shard, id),
  CHECK (kind IN ('refund', 'charge', 'dispute', 'warning'))
);
CREATE INDEX reversal_account ON reversal (shard, account);

-- Every fact, append-only: what the backend said, what Stripe said, and what was made of it.
CREATE TABLE billing_event (
  shard smallint NOT NULL,                -- of the account; without one, of the object it is about
  source text NOT NULL,                   -- backend | stripe | pruuf
  source_id text NOT NULL,                -- our event's id, or Stripe's
  account text NOT NULL,                  -- '': of no account of ours
  type text NOT NULL,
  at timestamptz NOT NULL,                -- when it was so, by its source's word
  stored_at timestamptz NOT NULL DEFAULT now(),
  by text NOT NULL,                       -- who decided
  why text NOT NULL,
  result text NOT NULL,                   -- recorded; of Stripe's: applied, stale, asked, kept, unknown
  object text,                            -- Stripe's name of what it is about
  command integer,                        -- its place among the account's commands; null: it is none
  notification uuid,                      -- that carries it out
  PRIMARY KEY (shard, source, source_id),
  CHECK (source IN ('backend', 'stripe', 'pruuf')),
  CHECK (result IN ('recorded', 'applied', 'stale', 'asked', 'kept', 'unknown')),
  CHECK ((command IS NULL) = (notification IS NULL))
);
CREATE INDEX billing_event_account ON billing_event (shard, account, stored_at);
CREATE INDEX billing_event_command ON billing_event (shard, account, command) WHERE command IS NOT NULL;
CREATE INDEX billing_event_notification ON billing_event (shard, notification) WHERE notification IS NOT NULL;

-- How far the list of Stripe's events was read.
CREATE TABLE billing_cursor (
  shard smallint NOT NULL,                -- 0
  name text NOT NULL,
  newest text,                            -- everything up to this event was taken; null: nothing yet
  page text,                              -- how far a walk back in time has come; null: none is under way
  goal text,                              -- the newest event when that walk began
  lease_until timestamptz NOT NULL DEFAULT now(),
  read_at timestamptz,
  PRIMARY KEY (shard, name)
);
INSERT INTO billing_cursor (shard, name) VALUES (0, 'events');

-- Billing's webhooks are taken by a reader of their own.
CREATE INDEX inbox_stripe ON inbox (shard, id) WHERE done_at IS NULL AND provider = 'stripe';

GRANT SELECT, INSERT, UPDATE ON account TO pruuf_gateway, pruuf_relay;
GRANT SELECT ON subscription, invoice, payment_method, reversal TO pruuf_gateway;
GRANT SELECT, INSERT, UPDATE ON subscription, invoice, payment_method, reversal TO pruuf_relay;
GRANT SELECT, INSERT ON billing_event TO pruuf_gateway, pruuf_relay;
GRANT SELECT, UPDATE ON billing_cursor TO pruuf_relay;
GRANT SELECT ON billing_cursor TO pruuf_gateway;
GRANT SELECT ON account, subscription, invoice, payment_method, reversal, billing_event, billing_cursor
  TO pruuf_auditor;
GRANT SELECT (shard, id, role, role_at, opened_at, member_at, member_by, member_why, wish, wish_at, customer,
              customer_gone_at, default_method, credit, seen_at, changed_at, commands, created_at)
  ON account TO pruuf_dashboard;
GRANT SELECT ON subscription, invoice, payment_method, reversal, billing_event, billing_cursor TO pruuf_dashboard;
