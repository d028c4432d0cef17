"""A callback that cannot be applied is set aside alone: those beside it count."""

from __future__ import annotations

from typing import Any

import pytest
from psycopg import errors

from outbox.domain.ids import shard_of_id
from outbox.relay import applier
from outbox.store import receipts
from tests.integration.relay_told import make_note

from .relay_fakes import said
from .relay_hand import Hand


async def test_one_that_cannot_be_applied_stops_no_other(
    by_hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = await make_note(by_hand, count=4)
    await by_hand.work()
    # All in one batch.
    assert len({shard_of_id(note) for note in notes}) == 1
    poison = by_hand.twilio.taken[0]

    async def refuse(connection: Any, shard: int, heard: Any, **options: Any) -> Any:  # noqa: ANN401
        if any(callback.provider_id == poison.sid for _, callback in heard):
            raise errors.DataException
        return await receipts.apply(connection, shard, heard, **options)

    monkeypatch.setattr(applier, "apply", refuse)
    await by_hand.hear(*(said(taken, "delivered") for taken in by_hand.twilio.taken))
    states = {note: by_hand.state(note)[0] for note in notes}
    assert states.pop(poison.reference.notification) == "open"
    assert set(states.values()) == {"delivered"}
    query = "SELECT note FROM inbox WHERE note IS NOT NULL"
    assert by_hand.rows(query) == [("cannot be applied: DataException",)]
    assert by_hand.rows("SELECT FROM inbox WHERE done_at IS NULL") == []
