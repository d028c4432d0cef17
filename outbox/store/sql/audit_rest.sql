-- What is kept beside the lives: callbacks and their receipts, opt-outs, codes, our own events.
WITH found (wrong, id) AS (
  SELECT CASE WHEN r.notification IS NULL THEN 'callback_without_receipt' ELSE 'receipt_time_wrong' END, i.id::text
  FROM (SELECT *, CASE WHEN pg_input_is_valid(split_part(said, ':', 1), 'uuid') THEN left(said, 36)::uuid END AS notification
        FROM inbox
        WHERE shard = %(shard)s AND done_at IS NOT NULL AND note IS NULL AND provider IN ('twilio', 'app')) i
  LEFT JOIN receipt r ON r.shard = %(shard)s AND r.notification = i.notification AND r.source = i.provider
    AND r.said = substr(i.said, 38)
  WHERE i.notification IS NOT NULL AND (r.notification IS NULL OR r.at > i.received_at)
  UNION ALL
  SELECT 'rank_wrong', notification || ' ' || source || ' ' || status FROM (
    SELECT r.notification, r.source, r.status FROM receipt r
    LEFT JOIN json_to_recordset(%(ranks)s::json) AS k (source text, status text, rank smallint)
      ON k.source = r.source AND k.status = r.status
    WHERE r.shard = %(shard)s AND r.notification >= %(low)s AND r.rank <> coalesce(k.rank, 0)) ranks
  UNION ALL
  SELECT 'opt_out_missing', encode(n.phone_hash, 'hex') FROM (
    SELECT notification FROM attempt
    WHERE shard = %(shard)s AND notification >= %(low)s AND result = 'recipient_suppressed' AND latency_ms > 0
    UNION
    SELECT notification FROM receipt
    WHERE shard = %(shard)s AND notification >= %(low)s AND result = 'recipient_suppressed') t
  JOIN notification n ON n.shard = %(shard)s AND n.id = t.notification
  WHERE n.phone_hash IS NOT NULL AND NOT EXISTS (
    SELECT FROM suppression s WHERE s.shard = mod(get_byte(n.phone_hash, 1), 16) AND s.phone_hash = n.phone_hash)
  UNION ALL
  SELECT 'code_without_notification', v.id::text FROM verification v
  WHERE v.shard = %(shard)s AND v.notification IS NOT NULL AND NOT EXISTS (
    SELECT FROM notification n WHERE n.shard = get_byte(uuid_send(v.notification), 15) AND n.id = v.notification)
  UNION ALL
  SELECT 'billing_without_notification', source || ' ' || source_id FROM billing_event b
  WHERE b.shard = %(shard)s AND b.notification IS NOT NULL AND NOT EXISTS (
    SELECT FROM notification n WHERE n.shard = %(shard)s AND n.id = b.notification)
  UNION ALL
  SELECT 'account_missing', account FROM billing_event b
  WHERE b.shard = %(shard)s AND b.account <> '' AND NOT EXISTS (
    SELECT FROM account a WHERE a.shard = %(shard)s AND a.id = b.account)
  UNION ALL
  -- What is said of an account is what its recorded words come to, folded anew: see `billing_facts`.
  -- Of words that were recorded before they told which role or wish it was, only their times count.
  SELECT unnest(array_remove(ARRAY[
           CASE WHEN b.account IS NULL THEN 'account_unheard' END,
           CASE WHEN a.commands <> coalesce(b.commands, 0) THEN 'commands_miscounted' END,
           CASE WHEN (a.opened_at, a.email_at, a.role_at, a.wish_at)
                       IS DISTINCT FROM (b.opened_at, b.email_at, b.role_at, b.wish_at)
                  OR a.role IS DISTINCT FROM coalesce(b.role, a.role) OR a.wish <> coalesce(nullif(b.wish, ''), a.wish)
                  OR coalesce(b.roles_told, true) AND (a.member_at, a.member_by, a.member_why)
                       IS DISTINCT FROM (b.member_at, b.member_by, b.member_why)
                THEN 'account_unexplained' END], NULL)), a.id
  FROM account a
  LEFT JOIN (
    SELECT account, max(command) AS commands,
           min(at) FILTER (WHERE opens) AS opened_at, max(at) FILTER (WHERE opens) AS email_at,
           max(at) FILTER (WHERE gives_role) AS role_at, max(at) FILTER (WHERE wish IS NOT NULL) AS wish_at,
           bool_and(object IS NOT NULL) FILTER (WHERE gives_role) AS roles_told,
           (array_agg(object ORDER BY at DESC, object = 'member' DESC) FILTER (WHERE gives_role))[1] AS role,
           (array_agg(wish ORDER BY at DESC, array_position(ARRAY['subscribed', 'ending', 'ended'], wish) DESC)
             FILTER (WHERE wish IS NOT NULL))[1] AS wish,
           min(at) FILTER (WHERE gives_role AND object = 'member') AS member_at,
           (array_agg(by ORDER BY at, by, why) FILTER (WHERE gives_role AND object = 'member'))[1] AS member_by,
           (array_agg(why ORDER BY at, by, why) FILTER (WHERE gives_role AND object = 'member'))[1] AS member_why
    FROM (
      SELECT account, command, object, by COLLATE "C" AS by, why COLLATE "C" AS why, least(at, stored_at) AS at,
             source = 'backend' AND type = 'billing.account_opened' AS opens,
             source = 'backend' AND type IN ('billing.account_opened', 'billing.role_changed') AS gives_role,
             CASE WHEN source = 'backend' AND type IN ('billing.account_opened', 'billing.subscription_resumed')
                    THEN 'subscribed'
                  WHEN source = 'backend' AND type = 'billing.subscription_cancelled' THEN coalesce(object, '')
                  WHEN source = 'pruuf' AND type = 'billing.dispute_lost' THEN 'ended' END AS wish
      FROM billing_event WHERE shard = %(shard)s AND account <> '') told
    GROUP BY account) b ON b.account = a.id
  WHERE a.shard = %(shard)s
  UNION ALL
  SELECT 'own_event_alone', e.id::text FROM event e
  WHERE e.shard = %(shard)s AND e.id >= %(low)s AND e.source = 'pruuf' AND e.source_id = e.id::text
    AND NOT EXISTS (SELECT FROM notification n WHERE n.shard = %(shard)s AND n.event = e.id)
  UNION ALL
  SELECT 'erasure_late', e.recipient FROM erasure e
  WHERE e.shard = %(shard)s AND e.done_at IS NULL AND e.asked_at < now() - interval '8 days'
  UNION ALL
  SELECT 'erasure_incomplete', e.recipient FROM erasure e
  WHERE e.shard = %(shard)s AND e.done_at IS NOT NULL AND (
    EXISTS (SELECT FROM recipient r WHERE r.shard = e.shard AND r.id = e.recipient AND r.created_at <= e.asked_at)
    OR EXISTS (SELECT FROM notification n WHERE n.recipient = e.recipient AND n.created_at <= e.asked_at
               AND (n.content_dropped_at IS NULL OR n.phone_hash IS NOT NULL))
    OR EXISTS (SELECT FROM notification n WHERE n.shard = e.shard AND n.subject = e.recipient
               AND n.created_at <= e.asked_at AND n.content_dropped_at IS NULL))
  UNION ALL
  SELECT 'changed_in_future', encode(phone_hash, 'hex') FROM suppression
  WHERE shard = %(shard)s AND changed_at > now() + interval '1 minute'
  UNION ALL
  SELECT 'told_in_future', name FROM (
    SELECT 'account ' || id AS name, shard, changed_at FROM account
    UNION ALL SELECT 'subscription ' || id, shard, changed_at FROM subscription
    UNION ALL SELECT 'invoice ' || id, shard, changed_at FROM invoice
    UNION ALL SELECT 'payment_method ' || id, shard, changed_at FROM payment_method
    UNION ALL SELECT 'reversal ' || id, shard, changed_at FROM reversal) told
  WHERE shard = %(shard)s AND changed_at > now() + interval '1 minute'
  UNION ALL
  SELECT 'stored_in_future', id FROM recipient
  WHERE shard = %(shard)s AND updated_at > now() + interval '1 minute')
SELECT ARRAY[wrong], count(*), (array_agg(id ORDER BY id))[1:%(most)s::integer] FROM found GROUP BY wrong
