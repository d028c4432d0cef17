"""``pruuf doctor``: API keys that end soon, and those that are too old to be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from gateway.cli.checks import Check
from outbox.store.connect import owner_engine
from outbox.store.keys import KeyView, every_key

_SOON = timedelta(days=14)
_OLD = timedelta(days=365)
_REMEDY = (
    "Make another one with the same scopes (pruuf key create), give it to whoever uses this one,"
    " wait until pruuf key list shows the new one used, then pruuf key revoke the old."
)


def of_keys(database_url: str) -> Check:
    """Those of this database."""
    with owner_engine(database_url).connect() as owner:
        return judged(every_key(owner), datetime.now(UTC))


def judged(keys: Sequence[KeyView], now: datetime) -> Check:
    """All keys that still open something."""
    valid = [
        each
        for each in keys
        if each.revoked_at is None and (each.expires_at is None or each.expires_at > now)
    ]
    ending = [each for each in valid if each.expires_at and each.expires_at < now + _SOON]
    old = [each for each in valid if each.created_at < now - _OLD]
    said = [
        *(f"{each.id} ends on {each.expires_at:%Y-%m-%d}" for each in ending),
        *(f"{each.id} is older than a year" for each in old if each not in ending),
    ]
    detail = "; ".join(said) or f"{len(valid)} in force, none ends soon or is older than a year"
    return Check("API keys", ok=not said, detail=detail, remedy=_REMEDY)
