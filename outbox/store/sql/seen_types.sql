-- What Stripe's webhooks were about and what came of them: by the index of the time they were stored,
-- at most so many.
SELECT type, result, count(*)::integer AS number, max(stored_at) AS newest
FROM (SELECT type, result, stored_at FROM billing_event
      WHERE source = 'stripe' AND stored_at >= %(since)s ORDER BY stored_at DESC LIMIT %(most)s) e
GROUP BY 1, 2 ORDER BY result NOT IN ('unknown', 'asked'), 3 DESC, 1 LIMIT 30
