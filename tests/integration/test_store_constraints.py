"""The database itself refuses every state that must not be, whoever tries to write it."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import errors

from outbox.domain.ids import new_id
from outbox.domain.states import FINAL, Lane, State, Work

from .billing_constraints import BILLING, IMPOSSIBLE_BILLING

Owner = psycopg.Connection[tuple[object, ...]]

_ID = str(new_id(0))
_ENDS = sorted(FINAL - {State.DELIVERED})
_BASE = {
    "api_key": "(shard, id, name, secret_hash, scopes) VALUES (0, 'k', 'n', '', '{read}')",
    "notification": (
        "(shard, id, event, subject, recipient, kind, lane, plan, template, locale, content,"
        f" expires_at) VALUES (0, '{_ID}', '{_ID}', 'm', 'c', 'k', 0, '', 't', 'en', '', now())"
    ),
    "due": f"(shard, notification, lane, fence) VALUES (0, '{_ID}', 0, 5)",
    "alert": (
        "(shard, member, open_event, open_due_at, told, notifications, page)"
        f" VALUES (0, 'm', '{_ID}', now(), '{{c}}', '{{{_ID}}}', '{_ID}')"
    ),
    "attempt": (
        "(shard, notification, fence, step, try, channel, provider, result, at, latency_ms)"
        f" VALUES (0, '{_ID}', 1, 0, 1, 'sms', 'twilio', 'accepted', now(), 5)"
    ),
    "device": (
        "(shard, recipient, id, token, token_hash, address_kind, platform)"
        " VALUES (0, 'c', 'd', '', '', 'token', 'ios')"
    ),
    "suppression": ("(shard, phone_hash, program, origin) VALUES (0, '\\x00', 'all', 'inbound')"),
    "revocation": f"(shard, id, phone_hash, body) VALUES (0, '{_ID}', '\\x00', '')",
    "limiter": "(shard, provider, sender, class, level) VALUES (0, 'twilio', 's', 'safety', 1)",
    "action": (
        "(shard, id, notification, what, actor, reason, result)"
        f" VALUES (0, '{_ID}', '{_ID}', 'cancel', 'a', 'r', 'cancelled')"
    ),
    "inbox_action": (
        "(shard, id, callback, actor, reason, result)"
        f" VALUES (0, '{_ID}', '{_ID}', 'a', 'r', 'redriven')"
    ),
    "provider_hold": (
        "(shard, id, provider, sender, actor, reason, until)"
        f" VALUES (0, '{_ID}', 'twilio', '', 'a', 'r', now() + interval '1 hour')"
    ),
    "acknowledgement": (
        "(shard, id, alert, label, actor, reason, until)"
        f" VALUES (0, '{_ID}', 'Parked', '', 'a', 'r', now() + interval '1 hour')"
    ),
    "erasure": "(shard, recipient, numbers) VALUES (0, 'c', '{a}')",
    "codes_stop": (
        "(shard, country, until, sent, approved) VALUES (0, 'US', now() + interval '1 hour', 50, 1)"
    ),
    "verification": (
        "(shard, id, phone_hash, country, caller, code_hash, checks_left, expires_at, notification)"
        f" VALUES (0, '{_ID}', '\\x00', 'US', 'k', '\\x00', 3, now(), '{_ID}')"
    ),
    "audit_root": (
        "(shard, minute, facts, leaves, root, key_id, link)"
        " VALUES (0, now(), 1, '\\x00', '\\x00', '\\x00', '\\x00')"
    ),
    "rollup_minute": (
        "(shard, minute, slo, outcome, kind, code, n)"
        " VALUES (0, date_trunc('minute', now(), 'UTC'), 'sms', 'late', '', '', 1)"
    ),
}
_BASE |= BILLING
_CLOSED = "open_event = NULL, open_due_at = NULL"
_IMPOSSIBLE = [
    ("api_key", "scopes = '{}'"),
    ("notification", "lane = 4"),
    ("notification", "lane = -1"),
    ("notification", "state = 'lost', final_at = now(), reason = 'why'"),
    ("notification", "state = 'sending'"),
    # Final without an end, and an end without being final.
    *(("notification", f"state = '{state}', reason = 'why'") for state in _ENDS),
    ("notification", "state = 'delivered', proof = 'carrier'"),
    ("notification", "final_at = now()"),
    ("notification", "state = 'parked', reason = 'why', final_at = now()"),
    # Delivered without proof, and proof without being delivered.
    ("notification", "state = 'delivered', final_at = now()"),
    ("notification", "proof = 'carrier'"),
    ("notification", "state = 'expired', reason = 'why', final_at = now(), proof = 'app'"),
    # Given up, or left to a person, without a word why.
    *(("notification", f"state = '{s}', final_at = now()") for s in _ENDS),
    ("notification", "state = 'parked'"),
    ("due", "work = 5"),
    ("due", "work = -1"),
    ("due", "work = 1"),
    ("due", "work = 3"),
    ("due", "work = 1, receipt_until = now(), owner = gen_random_uuid()"),
    ("due", "step = -1"),
    ("due", "attempt = -1"),
    ("due", "call_fence = 6"),
    ("due", "suspect = -1"),
    ("alert", "open_event = NULL, told = '{}', notifications = '{}', page = NULL"),
    ("alert", "open_due_at = NULL"),
    ("alert", f"{_CLOSED}, notifications = '{{}}', page = NULL"),
    ("alert", f"{_CLOSED}, told = '{{}}', page = NULL"),
    ("alert", f"{_CLOSED}, told = '{{}}', notifications = '{{}}'"),
    ("attempt", "what = 'guess'"),
    ("device", "address_kind = 'pigeon'"),
    ("device", "platform = 'fridge'"),
    ("suppression", "origin = 'rumour'"),
    ("revocation", "decided_at = now()"),
    ("revocation", "decision = 'opt_out'"),
    ("revocation", "decided_at = now(), decision = 'perhaps'"),
    ("limiter", "level = -0.5"),
    ("action", "what = 'delete'"),
    ("inbox_action", "result = 'maybe'"),
    ("acknowledgement", "until = at + interval '9 hours'"),
    ("acknowledgement", "ended_at = at"),
    ("acknowledgement", "ended_at = at, ended_why = 'bored'"),
    ("provider_hold", "provider = 'operator'"),
    ("provider_hold", "until = at"),
    ("provider_hold", "until = at + interval '25 hours'"),
    ("provider_hold", "released_at = at"),
    ("provider_hold", "released_by = 'a', released_why = 'r'"),
    (
        "provider_hold",
        "released_at = at - interval '1 second', released_by = 'a', released_why = 'r'",
    ),
    ("erasure", "done_at = now()"),
    ("erasure", "done_at = now(), numbers = '{}', waits_for = 'callbacks'"),
    ("codes_stop", "until = since"),
    ("verification", "checks_left = -1"),
    ("verification", "refused = 'why'"),
    ("verification", "notification = NULL"),
    ("verification", "code_hash = NULL"),
    ("verification", "notification = NULL, code_hash = NULL, refused = 'x', approved_at = now()"),
    ("audit_root", "facts = 0"),
    ("rollup_minute", "n = 0"),
    ("rollup_minute", "minute = minute + interval '1 second'"),
    *IMPOSSIBLE_BILLING,
]
_POSSIBLE = [
    *(("notification", f"state = '{s}', final_at = now(), reason = 'x'") for s in _ENDS),
    ("notification", "state = 'delivered', final_at = now(), proof = 'carrier'"),
    ("notification", "state = 'parked', reason = 'why'"),
    *(("notification", f"lane = {lane}") for lane in map(int, Lane)),
    *(("due", f"work = {work}, receipt_until = now()") for work in map(int, Work)),
    ("due", "due_at = 'infinity'"),
    ("due", "step = 3, call_fence = 5, owner = gen_random_uuid()"),
    (
        "alert",
        "open_event = NULL, open_due_at = NULL, told = '{}', notifications = '{}', page = NULL",
    ),
]


@pytest.fixture
def owner(database_url: str) -> Iterator[Owner]:
    """The owner's connection, on a database with one sound row in each table."""
    with psycopg.connect(database_url) as connection:
        for table, row in _BASE.items():
            connection.execute(f"INSERT INTO {table} {row}")
        connection.commit()
        yield connection


def _update(owner: Owner, table: str, change: str) -> None:
    changed = owner.execute(f"UPDATE {table} SET {change}")
    assert changed.rowcount == 1


def _refusal(owner: Owner, table: str, change: str) -> str | None:
    """Which CHECK refuses a change."""
    try:
        _update(owner, table, change)
    except errors.CheckViolation as error:
        return error.diag.constraint_name
    finally:
        owner.rollback()
    return pytest.fail(f"{table} takes {change}")


def test_what_must_not_be_is_refused_and_every_check_refuses_something(owner: Owner) -> None:
    seen = set()
    for table, change in _IMPOSSIBLE:
        seen.add((table, _refusal(owner, table, change)))
    checks = owner.execute(
        "SELECT r.relname, c.conname FROM pg_constraint c JOIN pg_class r ON r.oid = c.conrelid"
        " WHERE c.contype = 'c' AND r.relnamespace = 'public'::regnamespace"
        " AND NOT r.relispartition"
    ).fetchall()
    assert set(checks) == seen


def test_what_may_be_is_taken(owner: Owner) -> None:
    for table, change in _POSSIBLE:
        _update(owner, table, change)
        owner.rollback()


def test_every_state_and_work_that_the_code_knows_is_one_that_the_database_knows(
    owner: Owner,
) -> None:
    [(states,)] = owner.execute(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE conrelid = 'notification'::regclass AND conname = 'notification_state_check'"
    ).fetchall()
    assert all(f"'{state}'" in str(states) for state in State)
    assert str(states).count("::text") == len(State)


@pytest.mark.parametrize("table", ["due", "notification", "event_key", "inbox", "attempt"])
def test_the_same_key_twice_is_refused(owner: Owner, table: str) -> None:
    again = {
        "event_key": "(shard, source, source_id, event, content_hash, answer)"
        f" VALUES (0, 's', 'i', '{_ID}', '', '')",
        "inbox": "(shard, id, provider, said, lane, body)"
        " VALUES (0, gen_random_uuid(), 'twilio', 'said', 0, '')",
    }
    row = again.get(table, _BASE.get(table, ""))
    if table in again:
        owner.execute(f"INSERT INTO {table} {row}")
    with pytest.raises(errors.UniqueViolation):
        owner.execute(f"INSERT INTO {table} {row}")


def test_one_notification_has_at_most_one_due_row(owner: Owner) -> None:
    with pytest.raises(errors.UniqueViolation, match="due_shard_notification_key"):
        owner.execute(
            "INSERT INTO due (shard, notification, lane) SELECT shard, notification, 1 FROM due"
        )


def test_every_key_includes_the_shard_and_nothing_refers_to_another_table(owner: Owner) -> None:
    keys = owner.execute(
        "SELECT i.indrelid::regclass::text, i.indkey[0] = a.attnum"
        " FROM pg_index i JOIN pg_class r ON r.oid = i.indrelid"
        " LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attname = 'shard'"
        " WHERE i.indisunique AND r.relnamespace = 'public'::regnamespace"
        " AND r.relname <> 'alembic_version'"
    ).fetchall()
    assert len(keys) > 20
    # On a cluster that is distributed by shard no other unique key can be kept.
    assert [table for table, begins in keys if not begins] == []
    foreign = owner.execute("SELECT count(*) FROM pg_constraint WHERE contype = 'f'").fetchone()
    assert foreign == (0,)


def test_every_table_has_its_shard(owner: Owner) -> None:
    without = owner.execute(
        "SELECT table_name FROM information_schema.tables t WHERE table_schema = 'public'"
        " AND table_type = 'BASE TABLE'"
        " AND NOT EXISTS (SELECT FROM information_schema.columns c"
        " WHERE c.table_name = t.table_name AND column_name = 'shard' AND is_nullable = 'NO')"
    ).fetchall()
    assert without == [("alembic_version",)]
