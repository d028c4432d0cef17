"""Reading Twilio's whole list, against a loopback server: its pages, pauses and faults."""

from __future__ import annotations

from datetime import timedelta

import pytest

from outbox.providers.twilio import LookupFailedError
from outbox.providers.twilio_list import Listed
from tests.contract.loopback import Behaviour, answer, hang_up, serve
from tests.contract.test_twilio_find import LIST, NOW, message, page
from tests.contract.test_twilio_send import adapter, error

_TEXT = "Pruuf: Alice is OK, checked in 09:00. Ref K7Q2M3N4"


async def read(*behaviours: Behaviour) -> tuple[list[list[Listed]], list[float], list[str]]:
    """The pages, for how long it paused, and what was asked."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async with serve(*behaviours) as server, adapter(server) as twilio:
        twilio._list._sleep = sleep
        pages = [one async for one in twilio.listed(since=NOW)]
        return pages, slept, [request.path for request in server.requests]


async def test_all_pages_are_read_at_a_gentle_pace() -> None:
    following = f"{LIST}?PageSize=1000&Page=1&PageToken=PASM1"
    pages, slept, asked = await read(
        page(message(1, _TEXT, NOW), following=following), page(message(2, "none", NOW))
    )
    assert [[each.provider_id[-1] for each in one] for one in pages] == [["1"], ["2"]]
    assert [each.reference for one in pages for each in one] == ["K7Q2M3N4", None]
    assert slept == [0.5]
    assert asked == [LIST, LIST]


async def test_older_ones_and_those_that_came_to_us_are_left_out() -> None:
    pages, _, _ = await read(
        page(
            message(1, _TEXT, NOW - timedelta(minutes=1)),
            message(2, _TEXT, NOW, direction="inbound"),
            message(3, _TEXT, NOW, direction="outbound-api"),
        )
    )
    assert [[each.provider_id[-1] for each in one] for one in pages] == [["3"]]


async def test_it_ends_where_everything_is_surely_older() -> None:
    following = f"{LIST}?Page=1&PageToken=PASM1"
    old = page(message(1, _TEXT, NOW - timedelta(days=2)), following=following)
    pages, slept, _ = await read(old)
    assert (pages, slept) == ([[]], [])


async def test_a_page_that_cannot_be_had_is_asked_for_again() -> None:
    busy = error(429, 20429, **{"Retry-After": "7"})
    pages, slept, asked = await read(busy, hang_up, page(message(1, _TEXT, NOW)))
    assert [len(one) for one in pages] == [1]
    assert slept == [7.0, 4.0]
    assert len(asked) == 3


async def test_what_nobody_can_wait_for_is_told_at_once() -> None:
    with pytest.raises(LookupFailedError, match="20003") as refused:
        await read(error(401, 20003))
    assert refused.value.__suppress_context__


async def test_it_does_not_ask_for_ever() -> None:
    with pytest.raises(LookupFailedError, match="503"):
        await read(*[answer(503, {})] * 5)
