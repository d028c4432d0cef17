"""The erasure of a person: complete by a scan of every column, and the ledger stays sound."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from outbox.domain.outcomes import Result
from outbox.relay.database import Session
from outbox.store.connect import Connection
from tests.integration.billing_world import World

from .audit_world import audited, named
from .billing_lives import life, stripe_url
from .conftest import CAROL
from .erasure_world import (
    ALICE,
    BOB,
    DORA,
    HELD,
    confirmed,
    erase,
    heard,
    live,
    missed,
    rooted,
    scan,
    settled,
    to_rest,
)
from .relay_fakes import refused, said

__all__ = ["life", "settled", "stripe_url"]


async def test_nothing_of_a_person_is_left_and_nothing_is_lost(
    life: World, database_url: str
) -> None:
    by_hand = life.relay
    await live(life)
    await rooted(by_hand)
    # An alert that only he is told of, not begun; one about himself, on its way to somebody else.
    only = await missed(life, DORA, BOB)
    me = {name: BOB[name] for name in ("id", "name", "phone")}
    about = await missed(life, me, CAROL, hour=5)
    assert scan(database_url, by_hand.sealer) == HELD
    assert named(await audited(by_hand.settings, shards=None)) == set()
    ledger = by_hand.rows("SELECT id FROM notification ORDER BY id")
    charged = by_hand.rows("SELECT id, customer, role FROM account")
    await erase(life)
    await erase(life)
    await by_hand.parts.housekeeping.erasing.turn()
    assert by_hand.rows("SELECT waits_for FROM erasure") == [("notifications",)]
    assert by_hand.due(about["c_2"]) is not None
    await by_hand.work()
    await heard(by_hand)
    await to_rest(by_hand)
    assert scan(database_url, by_hand.sealer) == set()
    assert named(await audited(by_hand.settings, shards=None)) == set()
    # The ledger stays; the alert of which nobody else was told paged; that about him went on.
    assert set(ledger) <= set(by_hand.rows("SELECT id FROM notification"))
    assert charged == by_hand.rows("SELECT id, customer, role FROM account")
    assert by_hand.state(only["c_bob"]) == ("cancelled", "erased")
    assert by_hand.pager.reasons.count("contact_erased") == 1
    assert any(
        one.sms.to == CAROL["phone"] and one.reference.notification == about["c_2"]
        for one in by_hand.twilio.taken
    )
    # The opt-out binds, and what read like one counts as one.
    assert by_hand.rows("SELECT count(*) FROM suppression WHERE lifted_at IS NULL") == [(2,)]
    assert by_hand.rows("SELECT decision FROM revocation") == [("opt_out",)]
    await by_hand.parts.suppressed._session.persist(by_hand.parts.suppressed._read)
    sent = len(by_hand.twilio.calls)
    # Named again, he is told of the alert from which he was taken.
    assert (await missed(life, DORA, BOB, hour=8)).keys() == {"c_bob"}
    await by_hand.to_the_end()
    told = await confirmed(life, DORA, BOB, hour=9)
    await by_hand.to_the_end()
    assert len(by_hand.twilio.calls) == sent
    assert by_hand.rows(
        "SELECT count(*) FROM attempt WHERE notification = %s AND channel = 'sms'"
        " AND result = 'accepted'",
        (told["c_bob"],),
    ) == [(0,)]
    # He came back by that event: that is new, and lives.
    assert ("notification", "content") in scan(database_url, by_hand.sealer)
    assert by_hand.rows("SELECT numbers FROM erasure") == [([],)]


class DiedError(Exception):
    """Somebody pulled the plug."""


class Mortal(Session):
    """Dies after so many steps; each is a transaction."""

    left = 0

    async def persist(self, work: Callable[[Connection], Awaitable[Any]]) -> Any:  # noqa: ANN401
        if self.left == 0:
            raise DiedError
        self.left -= 1
        return await super().persist(work)


async def test_a_relay_that_dies_at_any_step_is_followed_by_another(
    life: World, database_url: str
) -> None:
    by_hand = life.relay
    await live(life)
    await rooted(by_hand)
    await missed(life, DORA, BOB)
    await erase(life)
    erasing = by_hand.parts.housekeeping.erasing
    session = erasing._session
    mortal = Mortal(session._connect, part="mortal", metrics=by_hand.metrics)
    erasing._session = mortal
    steps = 0
    while True:
        # Each relay comes one step further than the one before; the lease of the dead one is over.
        by_hand._owner.execute("UPDATE erasure SET next_at = now()")
        steps += 1
        mortal.left = steps
        try:
            await erasing.turn()
        except DiedError:
            continue
        break
    assert steps > 30
    await mortal.drop()
    erasing._session = session
    await to_rest(by_hand)
    assert scan(database_url, by_hand.sealer) == set()
    assert named(await audited(by_hand.settings, shards=None)) == set()
    assert by_hand.pager.reasons.count("contact_erased") == 1


async def test_what_comes_while_it_runs_lives_and_what_was_read_before_goes(
    life: World, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_hand = life.relay
    stored = {name: value for name, value in BOB.items() if name != "id"}
    await life.api.put("/v1/recipients/c_bob", json=stored)
    await confirmed(life, ALICE, BOB, hour=1)
    by_hand.twilio.answer = lambda _: refused(Result.CHANNEL_FINAL, "21614")
    await by_hand.to_the_end()
    # Named by the id alone, with the number that was stored when it was prepared.
    late = await confirmed(life, ALICE, {"id": "c_bob"}, hour=2)
    await erase(life)
    # It was committed after the request.
    by_hand._owner.execute(
        "WITH n AS (UPDATE notification SET created_at = now() WHERE id = %s RETURNING event)"
        " UPDATE event SET accepted_at = now() FROM n WHERE event.id = n.event",
        (late["c_bob"],),
    )
    new = await confirmed(life, DORA, {**BOB, "phone": "+12025550177", "name": "Bob Anew"}, hour=2)
    await to_rest(by_hand)
    assert by_hand.state(late["c_bob"]) == ("cancelled", "erased")
    assert scan(database_url, by_hand.sealer) == set()
    assert by_hand.rows(
        "SELECT length(content) > 0, phone_hash IS NOT NULL FROM notification WHERE id = %s",
        (new["c_bob"],),
    ) == [(True, True)]


async def test_a_callback_that_comes_afterwards_does_not_bring_the_number_back(
    life: World, database_url: str
) -> None:
    by_hand = life.relay
    await confirmed(life, ALICE, BOB)
    await by_hand.work()
    await heard(by_hand, "sent")
    await erase(life)
    await to_rest(by_hand)
    assert scan(database_url, by_hand.sealer) == set()
    await heard(by_hand)
    assert by_hand.rows("SELECT state FROM notification") == [("delivered",)]
    assert scan(database_url, by_hand.sealer) == set()
    assert named(await audited(by_hand.settings, shards=None)) == set()


async def test_others_keep_what_is_theirs(life: World, database_url: str) -> None:
    """Two share a number; who is erased is the one, and not the other."""
    by_hand = life.relay
    other = {"id": "c_wife", "name": "Eva", "phone": BOB["phone"]}
    await confirmed(life, ALICE, BOB, hour=1)
    await confirmed(life, DORA, other, hour=1)
    await by_hand.work()
    for taken in by_hand.twilio.taken:
        await by_hand.hear(said(taken, "delivered"))
    await erase(life)
    await to_rest(by_hand)
    assert by_hand.rows(
        "SELECT recipient, length(content) > 0 FROM notification ORDER BY recipient"
    ) == [("c_bob", False), ("c_wife", True)]
