"""One Member, one row: ends, failures, check-ins and claims of an alert, whoever comes first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest

from outbox.domain.decide import Final
from outbox.domain.intake import NewNotification
from outbox.domain.states import State, Work
from outbox.drafts import page_draft
from outbox.store import intake
from outbox.store.alerts import settle_alert
from outbox.store.claims import Claim, claim
from outbox.store.connect import Connection
from outbox.store.intake import Request
from outbox.store.settle import Settlement, settle
from tests.integration.settled import AWAIT, GIVEN_UP, NEXT, applied, claimed, said, two
from tests.integration.stored import (
    CLEARS,
    SEALER,
    blocked,
    confirmed,
    gateway,
    missed,
    relay,
    rows,
    safety_queue,
    write,
)


def _page(shard: int, summary: str, reason: str) -> NewNotification:
    return page_draft(SEALER, shard=shard, summary=summary, reason=reason)


async def _fail(connection: Connection, taken: Claim, move: Final = GIVEN_UP) -> UUID | None:
    return await settle_alert(connection, Settlement(claim=taken, move=move), _page)


def _told(database_url: str, kind: str) -> list[tuple[Any, ...]]:
    """Recipient, state, reason and work of all of one kind."""
    return rows(
        database_url,
        "SELECT n.recipient, n.state, n.reason, d.work FROM notification n"
        " LEFT JOIN due d ON d.notification = n.id WHERE n.kind = %s ORDER BY 1, 2",
        kind,
    )


def _pages(database_url: str) -> int:
    return len(_told(database_url, "operator.page"))


@asynccontextmanager
async def _checking_in(database_url: str) -> AsyncIterator[Connection]:
    """A check-in is written; its COMMIT follows at the end."""
    async with gateway(database_url) as connection, connection.transaction():
        checkin = confirmed("c_0", at=9)
        await intake.write(connection, [Request((checkin,))], clear=CLEARS.draft)
        yield connection


async def test_the_last_of_all_contacts_that_fails_pages_and_none_before(database_url: str) -> None:
    async with relay(database_url) as connection:
        first, second, last = await claimed(database_url, connection, 3)
        assert await _fail(connection, first) is None
        assert await _fail(connection, second) is None
        assert _pages(database_url) == 0
        page = await _fail(connection, last)
    assert rows(database_url, "SELECT page FROM alert") == [(page,)]
    assert _told(database_url, "operator.page") == [("operator", "open", None, Work.SEND)]


async def test_all_that_fail_at_once_page_once(database_url: str) -> None:
    async with two(database_url) as (one, other):
        taken = await claimed(database_url, one, 20)

        async def fail(connection: Connection, part: list[Claim]) -> list[UUID]:
            pages = [await _fail(connection, each) for each in part]
            return [page for page in pages if page is not None]

        pages = await asyncio.gather(fail(one, taken[:10]), fail(other, taken[10:]))
    assert sorted(map(len, pages)) == [0, 1]
    assert _pages(database_url) == 1


async def test_a_failure_waits_for_one_that_is_being_written(database_url: str) -> None:
    async with two(database_url) as (one, other):
        taken = await claimed(database_url, one, 2)
        async with one.transaction():
            assert await _fail(one, taken[0]) is None
            second = asyncio.create_task(_fail(other, taken[1]))
            await blocked(database_url, other)
        # It sees what the first one wrote, so it is the last.
        assert await second is not None


async def test_a_failure_that_is_settled_again_pages_no_second_time(database_url: str) -> None:
    async with relay(database_url) as connection:
        [taken] = await claimed(database_url, connection)
        assert await _fail(connection, taken) is not None
        assert await _fail(connection, taken) is None
    assert _pages(database_url) == 1


async def test_whoever_was_reached_or_may_be_yet_keeps_the_operator_asleep(
    database_url: str,
) -> None:
    async with relay(database_url) as connection:
        reached, waiting, failed = await claimed(database_url, connection, 3)
        await settle(connection, [Settlement(claim=waiting, move=AWAIT)])
        await applied(connection, said(reached, "delivered"))
        assert await _fail(connection, failed) is None
    assert _pages(database_url) == 0


@pytest.mark.parametrize("state", [State.EXPIRED, State.SUPPRESSED, State.UNDELIVERABLE])
async def test_however_it_failed_the_last_one_pages(database_url: str, state: State) -> None:
    async with relay(database_url) as connection:
        [taken] = await claimed(database_url, connection)
        assert await _fail(connection, taken, Final(state=state, reason="x")) is not None


async def test_a_contact_who_is_added_while_the_last_one_fails_is_told_before_anybody_else(
    database_url: str,
) -> None:
    async with relay(database_url) as connection, gateway(database_url) as other:
        [taken] = await claimed(database_url, connection)
        async with other.transaction():
            added = missed("c_new", due=8.5)
            await intake.write(other, [Request((added,))], clear=CLEARS.draft)
            failing = asyncio.create_task(_fail(connection, taken))
            await blocked(database_url, connection)
        assert await failing is None
    assert _pages(database_url) == 0


async def test_a_failure_after_the_check_in_pages_nobody(database_url: str) -> None:
    async with relay(database_url) as connection:
        [taken] = await claimed(database_url, connection)
        async with _checking_in(database_url):
            failing = asyncio.create_task(_fail(connection, taken))
            await blocked(database_url, connection)
        assert await failing is None
    assert _pages(database_url) == 0


async def test_a_check_in_after_the_page_withdraws_it_if_nobody_was_called_yet(
    database_url: str,
) -> None:
    async with relay(database_url) as connection:
        [taken] = await claimed(database_url, connection)
        async with connection.transaction():
            assert await _fail(connection, taken) is not None
            checking_in = asyncio.create_task(_write_check_in(database_url))
            await _blocked_by(database_url, connection)
        await checking_in
    assert _told(database_url, "operator.page") == [("operator", "cancelled", "checked_in", None)]


async def _write_check_in(database_url: str) -> None:
    async with gateway(database_url) as connection:
        await write(connection, [confirmed("c_0", at=9)])


async def _blocked_by(database_url: str, holder: Connection) -> None:
    """Returns when somebody waits for this connection."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE %s = ANY(pg_blocking_pids(pid))"
    async with asyncio.timeout(60):
        while (await asyncio.to_thread(rows, database_url, query, holder.info.backend_pid)) == [
            (0,)
        ]:
            pass


async def test_a_check_in_and_a_claim_agree_on_whether_it_was_begun(database_url: str) -> None:
    async with gateway(database_url) as connection:
        await write(connection, [missed("c_0", due=8)])
    async with relay(database_url) as connection:
        # The claim comes first: the check-in finds it in flight.
        async with connection.transaction():
            [taken] = await claim(connection, [(safety_queue("m_1"), 1)], lease_s=60)
            checking_in = asyncio.create_task(_write_check_in(database_url))
            await _blocked_by(database_url, connection)
        await checking_in
        assert _told(database_url, "checkin.missed") == [("c_0", "open", None, Work.SEND)]
        assert rows(database_url, "SELECT cancel FROM due WHERE notification = %s",
                    taken.notification) == [(True,)]  # fmt: skip
        # Whether they were alerted is not known: the all-clear waits, and there is no note.
        assert _told(database_url, "checkin.all_clear") == [("c_0", "open", None, Work.HOLD)]
        assert _told(database_url, "checkin.confirmed") == []


async def test_a_check_in_that_comes_first_leaves_nothing_to_claim(database_url: str) -> None:
    async with gateway(database_url) as connection:
        await write(connection, [missed("c_0", due=8)])
    async with relay(database_url) as connection:
        async with _checking_in(database_url):
            # Its rows are passed over, not waited for.
            assert await claim(connection, [(safety_queue("m_1"), 9)], lease_s=60) == []
        assert await claim(connection, [(safety_queue("m_1"), 9)], lease_s=60) == []
    assert _told(database_url, "checkin.missed") == [("c_0", "cancelled", "checked_in", None)]
    assert _told(database_url, "checkin.all_clear") == []
    assert _told(database_url, "checkin.confirmed") == [("c_0", "open", None, Work.SEND)]


async def test_those_who_may_have_been_alerted_get_one_all_clear_and_the_others_none(
    database_url: str,
) -> None:
    async with relay(database_url) as connection:
        async with gateway(database_url) as other:
            await write(other, [missed("c_0", "c_1", "c_2", due=8)])
        taken = await claim(connection, [(safety_queue("m_1"), 2)], lease_s=60)
        await settle(connection, [Settlement(claim=taken[0], move=AWAIT)])
        await settle(connection, [Settlement(claim=taken[1], move=NEXT)])
        async with gateway(database_url) as other:
            await write(other, [confirmed("c_0", "c_1", "c_2", at=9)])
    begun = {each.recipient for each in taken}
    cleared = {recipient for recipient, *_ in _told(database_url, "checkin.all_clear")}
    noted = {recipient for recipient, *_ in _told(database_url, "checkin.confirmed")}
    assert (cleared, noted) == (begun, {"c_0", "c_1", "c_2"} - begun)
    [(recipient, *rest)] = [t for t in _told(database_url, "checkin.missed") if t[0] not in begun]
    assert (recipient, rest) == (*noted, ["cancelled", "checked_in", None])
