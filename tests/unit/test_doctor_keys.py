"""What ``pruuf doctor`` says of API keys."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from gateway.cli.doctor_keys import judged
from outbox.store.keys import KeyView

_NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)


def _key(name: str, *, age: int, ends: int | None = None, revoked: bool = False) -> KeyView:
    """``age`` and ``ends`` in days."""
    return KeyView(
        id=name,
        name="backend",
        scopes=("read",),
        created_at=_NOW - timedelta(days=age),
        last_used_at=None,
        revoked_at=_NOW if revoked else None,
        expires_at=None if ends is None else _NOW + timedelta(days=ends),
    )


def test_keys_that_are_fine() -> None:
    check = judged([_key("a", age=364), _key("b", age=1, ends=15)], _NOW)
    assert (check.ok, check.detail) == (
        True,
        "2 in force, none ends soon or is older than a year",
    )


def test_keys_that_need_somebody() -> None:
    keys = [
        _key("soon", age=400, ends=13),
        _key("old", age=366),
        # They open nothing any more.
        _key("gone", age=400, revoked=True),
        _key("over", age=400, ends=-1),
    ]
    check = judged(keys, _NOW)
    assert (check.ok, check.detail) == (
        False,
        "soon ends on 2026-12-06; old is older than a year",
    )
    assert "pruuf key revoke" in check.remedy
