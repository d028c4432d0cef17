"""What a person would do is told before: what changes, and that nothing does where nothing does."""

from __future__ import annotations

import msgspec
import pytest

from dashboard import acting
from dashboard.api import Api, RefusedError
from outbox.settings import load
from outbox.store.views import STATES, Notification
from tests.unit.test_dashboard_picture import _told


def _in(state: str, attempts: int = 0) -> Notification:
    return msgspec.structs.replace(_told(), state=state, attempts=attempts)


@pytest.mark.parametrize("state", STATES)
def test_only_what_is_not_at_its_end_is_withdrawn(state: str) -> None:
    changes = state in {"pending", "sending", "awaiting_receipt", "parked"}
    assert acting.cancel(_in(state)).changes is changes


@pytest.mark.parametrize("state", STATES)
def test_only_what_reached_nobody_is_sent_again(state: str) -> None:
    changes = state in {"parked", "undeliverable", "suppressed", "expired"}
    assert acting.redrive(_in(state)).changes is changes


def test_whoever_may_be_told_twice_is_named_before() -> None:
    assert "told twice" in acting.redrive(_in("undeliverable", attempts=1)).words
    assert "told twice" not in acting.redrive(_in("undeliverable")).words
    assert "may have reached them" in acting.cancel(_in("sending", attempts=1)).words
    assert acting.cancel(_in("pending")).words.startswith("Nothing of it was sent")


def test_a_gateway_that_is_away_is_told_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRUUF_URL", "http://127.0.0.1:9")
    settings = load(
        {
            "DATABASE_URL": "postgresql://x@127.0.0.1/x",
            "PRUUF_KEYS": "A" * 43,
            "PRUUF_LOOKUP_KEYS": "A" * 43,
        }
    )
    with pytest.raises(RefusedError, match="does not answer") as caught:
        Api(settings, "pruuf_secret").act("notifications", "x", "cancel", "why")
    assert "secret" not in str(caught.value)
    with pytest.raises(RefusedError, match="no key"):
        Api(settings, "schlüssel\n").act("notifications", "x", "cancel", "why")
