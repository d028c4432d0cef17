"""What no process may do to the records of billing, and what the database itself refuses."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors

from outbox.store.connect import Role, conninfo

_FORBIDDEN = [
    (Role.GATEWAY, "DELETE FROM account"),
    (Role.GATEWAY, "UPDATE billing_event SET by = 'nobody'"),
    (Role.GATEWAY, "DELETE FROM billing_event"),
    (Role.GATEWAY, "UPDATE subscription SET status = 'active'"),
    (Role.GATEWAY, "UPDATE invoice SET paid = 299"),
    (Role.RELAY, "DELETE FROM account"),
    (Role.RELAY, "UPDATE billing_event SET why = 'nothing'"),
    (Role.RELAY, "DELETE FROM billing_event"),
    (Role.RELAY, "DELETE FROM subscription"),
    (Role.RELAY, "DELETE FROM invoice"),
    (Role.RELAY, "DELETE FROM reversal"),
    (Role.DASHBOARD, "SELECT email FROM account"),
    (Role.DASHBOARD, "UPDATE account SET wish = 'ended'"),
]

_REFUSED = [
    "INSERT INTO account (shard, id, role, role_at) VALUES (0, 'a', 'guest', now())",
    "INSERT INTO account (shard, id, role, role_at) VALUES (0, 'a', 'member', now())",
    "INSERT INTO account (shard, id, wish) VALUES (0, 'a', 'perhaps')",
    "INSERT INTO account (shard, id, member_at) VALUES (0, 'a', now())",
    "INSERT INTO account (shard, id, default_method) VALUES (0, 'a', 'pm_1')",
    (
        "INSERT INTO subscription (shard, id, account, customer, status, cancel_at_period_end,"
        " collection_paused, created_at) VALUES (0, 's', 'a', 'c', 'dreaming', false, false, now())"
    ),
    (
        "INSERT INTO subscription (shard, id, account, customer, status, cancel_at_period_end,"
        " collection_paused, created_at) VALUES (0, 's', 'a', 'c', 'canceled', false, false, now())"
    ),
    (
        "INSERT INTO billing_event (shard, source, source_id, account, type, at, by, why, result)"
        " VALUES (0, 'somebody', '1', 'a', 't', now(), 'x', 'y', 'recorded')"
    ),
]


@pytest.mark.parametrize("role", list(dict.fromkeys(role for role, _ in _FORBIDDEN)))
def test_a_role_may_not(database_url: str, role: Role) -> None:
    with psycopg.connect(conninfo(database_url, role, application="test"), autocommit=True) as own:
        for statement in [each for of, each in _FORBIDDEN if of is role]:
            with pytest.raises((errors.InsufficientPrivilege, errors.ReadOnlySqlTransaction)):
                own.execute(statement.encode())


def test_the_database_refuses_what_cannot_be(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as owner:
        for statement in _REFUSED:
            with pytest.raises(errors.CheckViolation):
                owner.execute(statement.encode())
