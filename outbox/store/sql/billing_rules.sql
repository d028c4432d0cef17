-- Every rule of our own rows about billing, each with those who break it. One read of small tables, every
-- few minutes. What a command is about to change is no error yet: for a quarter of an hour it may.
WITH busy AS MATERIALIZED (
  SELECT DISTINCT b.shard, b.account
  FROM billing_event b
  JOIN due d ON d.shard = b.shard AND d.notification = b.notification
  WHERE b.command IS NOT NULL AND b.stored_at > now() - interval '15 minutes'),
live AS MATERIALIZED (
  SELECT * FROM subscription WHERE status NOT IN ('canceled', 'incomplete_expired')),
-- Money that went back for good, by the payment that it is of.
back AS MATERIALIZED (
  SELECT shard, account, intent FROM reversal
  WHERE (kind = 'refund' AND status IN ('succeeded', 'pending')) OR (kind = 'charge' AND amount > 0)
     OR (kind = 'dispute' AND status = 'lost')),
kept AS MATERIALIZED (
  SELECT i.* FROM invoice i
  WHERE i.status = 'paid' AND i.paid > 0
    AND NOT EXISTS (
      SELECT FROM back WHERE back.shard = i.shard AND back.account = i.account
       AND (back.intent = i.intent OR i.intent IS NULL))),
found AS (
  SELECT 'free_subscribed' AS cause, s.id AS object, a.id AS account, 299::bigint AS amount,
         format('%%s since %%s, subscription %%s', a.role, a.member_at, s.status) AS detail, a.shard
  FROM account a JOIN live s ON s.shard = a.shard AND s.account = a.id
  WHERE a.role = 'member' OR a.member_at IS NOT NULL

  UNION ALL
  SELECT 'free_charged', i.id, a.id, i.paid, format('free since %%s, paid at %%s', a.member_at, i.paid_at), a.shard
  FROM account a
  JOIN kept i ON i.shard = a.shard AND i.account = a.id
  -- What was charged before the word came was right then.
  CROSS JOIN LATERAL (
    SELECT max(b.stored_at) AS heard_at FROM billing_event b
    WHERE b.shard = a.shard AND b.account = a.id AND b.source = 'backend'
      AND b.type IN ('billing.account_opened', 'billing.role_changed') AND b.at = a.member_at) word
  WHERE a.member_at IS NOT NULL AND i.paid_at > greatest(a.member_at, word.heard_at) + interval '1 minute'

  UNION ALL
  SELECT 'second_subscription', max(s.id), s.account, 299 * (count(*) - 1),
         format('%%s subscriptions: %%s', count(*), string_agg(s.id, ', ' ORDER BY s.id)), s.shard
  FROM live s GROUP BY s.shard, s.account HAVING count(*) > 1

  UNION ALL
  SELECT 'charged_twice', later.id, later.account, later.paid,
         format('%%s and %%s are of one period', earlier.id, later.id), later.shard
  FROM kept later
  JOIN kept earlier ON earlier.shard = later.shard AND earlier.account = later.account
   AND (earlier.created_at, earlier.id) < (later.created_at, later.id)
   -- A whole period each: what is a part of one, by proration, may lie within another.
   AND earlier.period_end - earlier.period_start > interval '20 days'
  LEFT JOIN subscription s ON s.shard = earlier.shard AND s.id = earlier.subscription
  WHERE later.period_end - later.period_start > interval '20 days'
    AND later.period_start >= earlier.period_start
    AND later.period_start < least(earlier.period_end, s.ended_at) - interval '1 hour'

  UNION ALL
  SELECT 'beyond_price', i.id, i.account, i.paid - 299,
         format('%%s %%s paid, %%s without tax', i.paid, i.currency, coalesce(i.untaxed::text, 'not known')), i.shard
  FROM kept i
  -- The tax is Stripe's own arithmetic. Where it was not told, no tax is so high.
  WHERE i.currency <> 'usd' OR i.untaxed > 299 OR (i.untaxed IS NOT NULL AND i.paid > i.due)
     OR (i.untaxed IS NULL AND i.paid > %(most)s)
  UNION ALL
  SELECT 'beyond_price', s.id, s.account, 0, format('its price is %%s', s.price), s.shard
  FROM live s WHERE %(price)s::text IS NOT NULL AND s.price IS DISTINCT FROM %(price)s::text

  UNION ALL
  SELECT 'no_reason', a.id, a.id, 0, 'a role or an opening that nobody told', a.shard
  FROM account a
  WHERE (a.role IS NOT NULL OR a.opened_at IS NOT NULL OR a.member_at IS NOT NULL)
    AND NOT EXISTS (
      SELECT FROM billing_event b WHERE b.shard = a.shard AND b.account = a.id AND b.source = 'backend')
  UNION ALL
  SELECT 'no_reason', s.id, s.account, 299, 'the subscription of an account that was never opened', s.shard
  FROM live s
  WHERE NOT EXISTS (
    SELECT FROM account a WHERE a.shard = s.shard AND a.id = s.account AND a.opened_at IS NOT NULL)

  UNION ALL
  SELECT 'end_undone', s.id, s.account, 299, format('%%s, and was told to be deleted', s.status), s.shard
  FROM live s
  WHERE EXISTS (
    SELECT FROM billing_event b
    WHERE b.shard = s.shard AND b.account = s.account AND b.object = s.id AND b.source = 'stripe'
      AND b.type = 'customer.subscription.deleted' AND b.result = 'applied')

  UNION ALL
  SELECT 'payment_undone', i.id, i.account, i.due, format('%%s, and was told to be paid', i.status), i.shard
  FROM invoice i
  WHERE i.status <> 'paid' AND EXISTS (
    SELECT FROM billing_event b
    WHERE b.shard = i.shard AND b.account = i.account AND b.object = i.id AND b.source = 'stripe'
      AND b.type IN ('invoice.paid', 'invoice.payment_succeeded') AND b.result = 'applied')

  UNION ALL
  SELECT 'end_not_carried_out', s.id, s.account, 299, format('%%s since %%s', a.wish, a.wish_at), s.shard
  FROM account a JOIN live s ON s.shard = a.shard AND s.account = a.id
  WHERE a.role = 'contact' AND a.member_at IS NULL
    AND (a.wish = 'ended' OR (a.wish = 'ending' AND NOT s.cancel_at_period_end))

  UNION ALL
  SELECT 'paid_and_lost', i.id, i.account, i.paid, format('ended at %%s, paid until %%s', s.ended_at, i.period_end),
         i.shard
  FROM kept i
  JOIN subscription s ON s.shard = i.shard AND s.id = i.subscription
  JOIN account a ON a.shard = i.shard AND a.id = i.account
  -- Refunds are told later than the end: by Stripe within three days.
  WHERE s.ended_at < i.period_end - interval '1 day' AND i.period_start < s.ended_at
    AND s.ended_at < now() - interval '4 days' AND a.credit = 0
    AND NOT EXISTS (SELECT FROM reversal r WHERE r.shard = i.shard AND r.account = i.account)

  UNION ALL
  SELECT 'never_begun', a.id, a.id, 299, format('opened at %%s', a.opened_at), a.shard
  FROM account a
  WHERE a.role = 'contact' AND a.member_at IS NULL AND a.wish = 'subscribed' AND a.customer_gone_at IS NULL
    AND %(price)s::text IS NOT NULL AND a.created_at < now() - interval '1 day' AND a.opened_at IS NOT NULL
    AND NOT EXISTS (SELECT FROM subscription s WHERE s.shard = a.shard AND s.account = a.id))
SELECT cause, object, account, amount, detail
FROM found f
WHERE NOT EXISTS (SELECT FROM busy WHERE busy.shard = f.shard AND busy.account = f.account)
ORDER BY cause, object LIMIT 1000
