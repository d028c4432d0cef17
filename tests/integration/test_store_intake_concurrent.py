"""Intake from several gateways at once: no deadlock, nothing twice, nothing missed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outbox.domain.alerts import Alert, judge
from outbox.domain.intake import NewEvent
from outbox.store import intake
from outbox.store.connect import Connection
from outbox.store.intake import Request
from tests.integration.stored import (
    CLEARS,
    again,
    blocked,
    committing,
    confirmed,
    counts,
    gateway,
    hour,
    missed,
    rows,
    write,
)


@asynccontextmanager
async def _uncommitted(
    connection: Connection, event: NewEvent, *, ends_well: bool = True
) -> AsyncIterator[None]:
    """An event is written; its COMMIT, or its ROLLBACK, follows at the end."""
    async with connection.transaction(force_rollback=not ends_well):
        await intake.write(connection, [Request((event,))], clear=CLEARS.draft)
        yield


def _alert(database_url: str) -> tuple[datetime | None, object]:
    [row] = rows(database_url, "SELECT last_checkin_at, open_event FROM alert")
    return row[0], row[1]


async def test_a_missed_check_in_waits_for_a_check_in_that_is_being_written(
    database_url: str,
) -> None:
    async with gateway(database_url) as one, gateway(database_url) as other:
        async with _uncommitted(one, confirmed(at=9)):
            second = asyncio.create_task(write(other, [missed("c_1", due=8)]))
            await blocked(database_url, other)
            assert not second.done()
        await second
    assert _alert(database_url) == (hour(9), None)
    assert rows(database_url, "SELECT state, reason FROM notification") == [
        ("cancelled", "superseded")
    ]
    assert counts(database_url)["due"] == 0


async def test_a_check_in_waits_for_a_missed_one_that_is_being_written_and_ends_its_alert(
    database_url: str,
) -> None:
    async with gateway(database_url) as one, gateway(database_url) as other:
        async with _uncommitted(one, missed("c_1", due=8)):
            second = asyncio.create_task(write(other, [confirmed(at=9)]))
            await blocked(database_url, other)
        await second
    assert _alert(database_url) == (hour(9), None)
    assert rows(database_url, "SELECT state, reason FROM notification") == [
        ("cancelled", "checked_in")
    ]
    assert counts(database_url)["due"] == 0


async def test_two_missed_ones_at_once_tell_each_contact_once(database_url: str) -> None:
    async with gateway(database_url) as one, gateway(database_url) as other:
        async with _uncommitted(one, missed("c_1", "c_2", due=8)):
            second = asyncio.create_task(write(other, [missed("c_2", "c_3", due=9)]))
            await blocked(database_url, other)
        await second
    told = rows(database_url, "SELECT recipient FROM notification ORDER BY 1")
    assert told == [("c_1",), ("c_2",), ("c_3",)]
    assert rows(database_url, "SELECT told FROM alert") == [(["c_1", "c_2", "c_3"],)]


async def test_two_missed_ones_at_once_with_nobody_to_tell_page_once(database_url: str) -> None:
    async with gateway(database_url) as one, gateway(database_url) as other:
        async with _uncommitted(one, missed(due=8)):
            second = asyncio.create_task(write(other, [missed(due=9)]))
            await blocked(database_url, other)
        await second
    assert rows(database_url, "SELECT kind FROM notification") == [("operator.page",)]


@pytest.mark.parametrize("ends_well", [True, False])
async def test_the_same_event_at_once_waits_for_the_first_to_end(
    database_url: str, ends_well: bool
) -> None:
    told = missed("c_1")
    async with gateway(database_url) as one, gateway(database_url) as other:
        async with _uncommitted(one, told, ends_well=ends_well):
            second = asyncio.create_task(write(other, [again(told)]))
            await blocked(database_url, other)
        [[accepted]] = await second
    # Told as a repetition only if there is something that it repeats.
    assert accepted.duplicate == ends_well
    assert (accepted.event == told.id) == ends_well
    assert counts(database_url) == {"event_key": 1, "event": 1, "notification": 1, "due": 1}


async def test_overlapping_batches_in_opposite_orders_do_not_deadlock(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    rounds, size = 15, 24
    caplog.set_level(logging.WARNING)
    async with gateway(database_url) as one, gateway(database_url) as other:
        for number in range(rounds):
            events = [
                (missed if n % 3 else confirmed)("c_1", member=f"m_{n}", source_id=f"{number}.{n}")
                for n in range(size)
            ]
            repeated = [again(told) for told in reversed(events)]
            # A deadlock would raise here: nothing is tried again.
            [first], [second] = await asyncio.gather(write(one, events), write(other, repeated))
            duplicates = {each.event: each.duplicate for each in first}
            for each in second:
                assert each.duplicate != duplicates[each.event]
    assert counts(database_url)["event"] == rounds * size
    assert caplog.records == []


async def test_other_events_of_the_same_members_in_opposite_orders_do_not_deadlock(
    database_url: str,
) -> None:
    members = [f"m_{n}" for n in range(24)]
    async with gateway(database_url) as one, gateway(database_url) as other:
        for number in range(15):
            await asyncio.gather(
                write(one, [missed("c_1", member=m, due=number) for m in members]),
                write(other, [missed("c_1", member=m, due=number) for m in reversed(members)]),
            )
    assert rows(database_url, "SELECT count(*) FROM alert WHERE told = '{c_1}'") == [(24,)]


async def test_two_gateways_that_get_everything_store_everything_once(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    events = [
        missed("c_1", member=f"m_{n % 5}", due=n, source_id=f"e_{n}")
        if n % 2
        else confirmed("c_1", member=f"m_{n % 5}", at=n, source_id=f"e_{n}")
        for n in range(120)
    ]
    async with (
        committing(database_url, workers=3, max_batch=7) as one,
        committing(database_url, workers=3, max_batch=5) as other,
    ):
        ends = await asyncio.gather(
            *(one.submit(Request((told,))) for told in events),
            *(other.submit(Request((again(told),))) for told in reversed(events)),
            return_exceptions=True,
        )
    assert [end for end in ends if isinstance(end, BaseException)] == []
    assert counts(database_url)["event"] == len(events)
    assert rows(database_url, "SELECT count(*), sum(replays) FROM event_key") == [(120, 120)]
    assert caplog.records == []


_lives = st.lists(
    st.tuples(
        st.booleans(),
        st.integers(0, 9),
        st.lists(st.sampled_from(["c_1", "c_2"]), unique=True),
        st.booleans(),
    ),
    min_size=1,
    max_size=10,
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lives=_lives, cuts=st.sets(st.integers(1, 9)))
def test_any_cut_into_batches_stores_what_one_after_the_other_would(
    database_url: str, lives: list[tuple[bool, int, list[str], bool]], cuts: set[int]
) -> None:
    member = f"m_{len(rows(database_url, 'SELECT member FROM alert'))}"
    sent: list[NewEvent] = []
    for made, at, contacts, repeats in lives:
        if repeats and sent:
            sent.append(again(sent[at % len(sent)]))
        elif made:
            sent.append(confirmed(*contacts, at=at, member=member))
        else:
            sent.append(missed(*contacts, due=at, member=member))
    asyncio.run(_write_cut(database_url, sent, cuts))
    first = {each.source_id: each for each in reversed(sent)}
    expected = Alert()
    for source_id in dict.fromkeys(each.source_id for each in sent):
        judge(first[source_id], {member: expected}, now=datetime.now(UTC))
    query = (
        "SELECT last_checkin_at, open_event, open_due_at, told, notifications, page FROM alert"
        " WHERE member = %s"
    )
    [stored] = rows(database_url, query, member)
    assert Alert(*stored) == expected
    # A notification is not final if and only if it has a due row.
    query = (
        "SELECT count(*) FROM notification n FULL JOIN due d"
        " ON d.shard = n.shard AND d.notification = n.id"
        " WHERE (n.state = 'open') IS DISTINCT FROM (d.seq IS NOT NULL)"
    )
    assert rows(database_url, query) == [(0,)]
    query = "SELECT count(*) FROM event WHERE subject = %s"
    assert rows(database_url, query, member) == [(len(first),)]


async def _write_cut(database_url: str, sent: Sequence[NewEvent], cuts: set[int]) -> None:
    async with gateway(database_url) as connection:
        places = [0, *sorted(cut for cut in cuts if cut < len(sent)), len(sent)]
        for start, end in pairwise(places):
            await write(connection, *([told] for told in sent[start:end]))
