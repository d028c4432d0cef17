-- Facts by the time of their storing, as id, part and a hash of the columns that survive an erasure,
-- packed for each shard, minute and kind: a million rows come as a few. The key stays with us, so
-- these hashes are plain ones; what is hashed holds no name, number or text.
-- A row as text is unambiguous (null is nothing, an empty text is "") while the settings are those
-- of the session that audits.
SELECT shard, date_trunc('minute', at), fact, string_agg(leaf, ''::bytea), count(*) FROM (
  SELECT shard, accepted_at AS at, 1 AS fact,
         uuid_send(id) || '\x000000000000'::bytea || sha256(convert_to(ROW(
           shard, id, source, source_id, type, subject, occurred_at, accepted_at, content_hash, traceparent)::text, 'UTF8')) AS leaf
  FROM event WHERE shard = ANY(%(shards)s) AND accepted_at >= %(begin)s AND accepted_at < %(end)s
  UNION ALL
  SELECT shard, created_at, 2,
         uuid_send(event) || '\x000000000000'::bytea || sha256(convert_to(ROW(
           shard, source, source_id, event, content_hash, answer, created_at, expires_at)::text, 'UTF8'))
  FROM event_key WHERE shard = ANY(%(shards)s) AND created_at >= %(begin)s AND created_at < %(end)s
  UNION ALL
  SELECT shard, created_at, 3,
         uuid_send(id) || '\x000000000000'::bytea || sha256(convert_to(ROW(
           shard, id, event, subject, recipient, kind, lane, plan, template, locale, clears, created_at)::text, 'UTF8'))
  FROM notification WHERE shard = ANY(%(shards)s) AND created_at >= %(begin)s AND created_at < %(end)s
  UNION ALL
  SELECT shard, final_at, 4,
         uuid_send(id) || '\x000000000000'::bytea || sha256(convert_to(ROW(
           shard, id, state, reason, proof, channel, steps_taken, expires_at, final_at)::text, 'UTF8'))
  FROM notification WHERE shard = ANY(%(shards)s) AND final_at >= %(begin)s AND final_at < %(end)s
  UNION ALL
  SELECT shard, stored_at, 5,
         uuid_send(notification) || int4send(fence) || int2send(ordinal) || sha256(convert_to(ROW(
           shard, notification, fence, ordinal, step, try, what, channel, provider, sender, result, code, detail,
           provider_id, stale, at, latency_ms, stored_at)::text, 'UTF8'))
  FROM attempt WHERE shard = ANY(%(shards)s) AND stored_at >= %(begin)s AND stored_at < %(end)s
  UNION ALL
  SELECT shard, stored_at, 6,
         uuid_send(notification) || substring(sha256(convert_to(ROW(source, said)::text, 'UTF8')) FOR 6)
         || sha256(convert_to(ROW(
           shard, notification, source, said, fence, step, provider_id, status, code, rank, at, result, stored_at)::text, 'UTF8'))
  FROM receipt WHERE shard = ANY(%(shards)s) AND stored_at >= %(begin)s AND stored_at < %(end)s
  UNION ALL
  SELECT shard, at, 7,
         uuid_send(id) || '\x000000000000'::bytea || sha256(convert_to(ROW(
           shard, id, notification, what, actor, reason, result, at)::text, 'UTF8'))
  FROM action WHERE shard = ANY(%(shards)s) AND at >= %(begin)s AND at < %(end)s
  UNION ALL
  SELECT shard, changed_at, 8,
         substring(phone_hash || decode(repeat('00', 17), 'hex') FROM 2 FOR 16)
         || substring(phone_hash || '\x00'::bytea FOR 1)
         || substring(sha256(convert_to(program, 'UTF8')) FOR 5) || sha256(convert_to(ROW(
           shard, phone_hash, program, origin, word, at, lifted_at, changed_at)::text, 'UTF8'))
  FROM suppression WHERE shard = ANY(%(shards)s) AND changed_at >= %(begin)s AND changed_at < %(end)s
  UNION ALL
  SELECT shard, at, 9,
         uuid_send(id) || '\x000000000000'::bytea || sha256(convert_to(ROW(shard, id, phone_hash, at)::text, 'UTF8'))
  FROM revocation WHERE shard = ANY(%(shards)s) AND at >= %(begin)s AND at < %(end)s
  UNION ALL
  SELECT shard, updated_at, 10,
         substring(sha256(convert_to(id, 'UTF8')) FOR 16) || '\x000000000000'::bytea || sha256(convert_to(ROW(
           shard, id, phone_hash, locale, timezone, created_at, updated_at)::text, 'UTF8'))
  FROM recipient WHERE shard = ANY(%(shards)s) AND updated_at >= %(begin)s AND updated_at < %(end)s
  UNION ALL
  SELECT shard, stored_at, 11,
         substring(sha256(convert_to(source || ' ' || source_id, 'UTF8')) FOR 16) || '\x000000000000'::bytea
         || sha256(convert_to(ROW(
           shard, source, source_id, account, type, at, stored_at, by, why, result, object, command, notification)::text, 'UTF8'))
  FROM billing_event WHERE shard = ANY(%(shards)s) AND stored_at >= %(begin)s AND stored_at < %(end)s
  UNION ALL
  SELECT shard, changed_at, 12, decode(md5(id), 'hex') || '\x000000000000'::bytea || sha256(convert_to(ROW(
           shard, id, account, customer, status, price, trial_end, period_start, period_end, cancel_at_period_end,
           collection_paused, canceled_at, ended_at, end_reason, latest_invoice, default_method, created_at, seen_at, changed_at)::text, 'UTF8'))
  FROM subscription WHERE shard = ANY(%(shards)s) AND changed_at >= %(begin)s AND changed_at < %(end)s
  UNION ALL
  SELECT shard, changed_at, 13, decode(md5(id), 'hex') || '\x000000000000'::bytea || sha256(convert_to(ROW(
           shard, id, account, subscription, status, reason, currency, due, untaxed, paid, remaining, attempts, next_attempt_at,
           period_start, period_end, link, finalized_at, paid_at, created_at, seen_at, changed_at)::text, 'UTF8'))
  FROM invoice WHERE shard = ANY(%(shards)s) AND changed_at >= %(begin)s AND changed_at < %(end)s
  UNION ALL
  SELECT shard, changed_at, 14, decode(md5(id), 'hex') || '\x000000000000'::bytea || sha256(convert_to(ROW(
           shard, id, account, type, expires_at, attached, created_at, seen_at, changed_at)::text, 'UTF8'))
  FROM payment_method WHERE shard = ANY(%(shards)s) AND changed_at >= %(begin)s AND changed_at < %(end)s
  UNION ALL
  SELECT shard, changed_at, 15, decode(md5(id), 'hex') || '\x000000000000'::bytea || sha256(convert_to(ROW(
           shard, id, account, kind, status, amount, currency, reason, intent, evidence_by, withdrawn, created_at, seen_at,
           changed_at)::text, 'UTF8'))
  FROM reversal WHERE shard = ANY(%(shards)s) AND changed_at >= %(begin)s AND changed_at < %(end)s
  UNION ALL
  SELECT shard, changed_at, 16, decode(md5(id), 'hex') || '\x000000000000'::bytea || sha256(convert_to(ROW(
           shard, id, customer, customer_gone_at, default_method, credit, seen_at, changed_at, created_at)::text, 'UTF8'))
  FROM account WHERE shard = ANY(%(shards)s) AND changed_at >= %(begin)s AND changed_at < %(end)s) f
GROUP BY 1, 2, 3
