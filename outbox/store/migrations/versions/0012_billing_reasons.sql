-- Why a payment failed is told as soon as it is known, and not guessed before.

-- What is true just now and worth telling the person of an account that pays; never of a Member, and of
-- nobody who was one. The one place that says so: it is read when a text is made, and again when it is sent.
CREATE OR REPLACE VIEW billing_told AS
WITH payer AS (
  SELECT shard, id, wish, wish_at FROM account
  WHERE role = 'contact' AND member_at IS NULL AND opened_at IS NOT NULL),
unpaid AS (
  SELECT i.shard, i.id, i.account, i.failed_at, i.failed_at + interval '14 days' AS until,
         -- A bank that wants a confirmation has refused nothing.
         coalesce(i.decline, CASE i.action WHEN 'confirm' THEN 'authentication_required' END) AS decline
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
-- Why it failed is asked for when we hear that it did, which may be long afterwards; who still knows no
-- reason after ten minutes says it in general.
SELECT p.shard, p.id, 'payment_failed', u.id, u.until, u.decline
FROM payer p JOIN unpaid u ON u.shard = p.shard AND u.account = p.id
WHERE u.decline IS NOT NULL OR EXISTS (
  SELECT FROM billing_event b WHERE b.shard = u.shard AND b.account = u.account AND b.source = 'stripe'
   AND b.type = 'invoice.payment_failed' AND b.object = u.id AND b.stored_at < now() - interval '10 minutes')
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
