"""What lies in the inbox is applied, also when the database goes away in the middle of it."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import psycopg
import pytest

from outbox.domain.callbacks import Callback
from outbox.providers.codes import classify_receipt
from outbox.relay import applier
from outbox.store import receipts
from outbox.store.connect import Connection
from outbox.store.receipts import Applied, Classify, Taken
from tests.integration.relay_awaited import raise_alert

from .relay_fakes import said
from .relay_hand import Hand


async def test_a_callback_whose_applying_was_cut_off_is_applied_by_the_next_round(
    by_hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuts = 0

    async def cut(
        connection: Connection,
        shard: int,
        heard: Sequence[tuple[Taken, Callback]],
        *,
        classify: Classify = classify_receipt,
    ) -> Applied:
        nonlocal cuts
        applied = await receipts.apply(connection, shard, heard, classify=classify)
        cuts += 1
        if cuts == 1:
            raise psycopg.OperationalError
        return applied

    monkeypatch.setattr(applier, "apply", cut)
    alert: UUID = await raise_alert(by_hand)
    await by_hand.once()
    await by_hand.hear(said(by_hand.twilio.taken[0], "delivered"))
    assert cuts == 2
    assert by_hand.state(alert) == ("delivered", None)
    assert by_hand.rows("SELECT count(*) FROM receipt WHERE status = 'delivered'") == [(1,)]
    assert by_hand.rows("SELECT count(*) FROM inbox WHERE done_at IS NULL") == [(0,)]
