"""The simulated Twilio's list of messages: its filters, its pages, and the SDK on top of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from outbox.simulators.magic import number
from outbox.simulators.twilio_messages import SENDERS
from tests.contract.simulated import AUTH, FROM, MESSAGES, Simulated, simulators

A, B = "+12025550100", "+12025550101"


@pytest.fixture
async def sim(tmp_path: Path) -> AsyncIterator[Simulated]:
    async with simulators(tmp_path) as simulated:
        yield simulated


async def sids(sim: Simulated, **query: str) -> list[str]:
    answer = (await sim.messages(**query)).raise_for_status().json()
    return [message["sid"] for message in answer["messages"]]


async def made(sim: Simulated, to: str, count: int = 1, **more: str) -> list[str]:
    return [(await sim.text(to, **more)).json()["sid"] for _ in range(count)]


async def test_the_newest_come_first_and_filters_choose(sim: Simulated) -> None:
    first, second = await made(sim, A, 2)
    (other,) = await made(sim, B, From=SENDERS[1])
    assert await sids(sim) == [other, second, first]
    assert await sids(sim, To=A) == [second, first]
    assert await sids(sim, From=SENDERS[1]) == [other]
    assert await sids(sim, To=A, From=SENDERS[1]) == []


async def test_a_message_is_shown_with_its_text_and_dates(sim: Simulated) -> None:
    (sid,) = await made(sim, A, Body="Ref K7Q2 – ünïcode")
    (shown,) = (await sim.messages(To=A)).json()["messages"]
    assert (shown["sid"], shown["to"], shown["from"]) == (sid, A, FROM)
    assert (shown["body"], shown["direction"]) == ("Ref K7Q2 – ünïcode", "outbound-api")
    assert shown["num_segments"] == "1"
    assert shown["date_created"].endswith("+0000")


async def test_days_are_those_of_the_sending(sim: Simulated) -> None:
    (sid,) = await made(sim, A)
    (never,) = await made(sim, number("failed_30001", 0))
    while (await sim.message(sid)).json()["status"] != "delivered":
        pass
    today = datetime.now(UTC).date()
    day = timedelta(days=1)
    assert await sids(sim, DateSent=f"{today}") == [sid]
    assert await sids(sim, DateSent=f"{today - day}") == []
    assert await sids(sim, **{"DateSent>": f"{today}"}) == [sid]
    assert await sids(sim, **{"DateSent>": f"{today + day}"}) == []
    assert await sids(sim, **{"DateSent<": f"{today + day}"}) == [sid]
    assert await sids(sim, **{"DateSent<": f"{today - day}"}) == []
    # What has not left has no such date: it is found by its number only.
    assert await sids(sim, To=number("failed_30001", 0)) == [never]


async def test_pages_hold_each_message_once_although_more_come_in(sim: Simulated) -> None:
    wanted = await made(sim, A, 25)
    page = (await sim.messages(To=A, PageSize="10")).json()
    seen: list[dict[str, Any]] = []
    sizes = []
    while True:
        seen += page["messages"]
        sizes.append(len(page["messages"]))
        await made(sim, A)
        if page["next_page_uri"] is None:
            break
        page = (await sim.http.get(page["next_page_uri"], auth=AUTH)).json()
        assert page["page_size"] == 10
    assert sizes == [10, 10, 5]
    assert [message["sid"] for message in seen] == wanted[::-1]


async def test_the_last_page_is_no_empty_one(sim: Simulated) -> None:
    await made(sim, A, 4)
    page = (await sim.messages(PageSize="2")).json()
    last = (await sim.http.get(page["next_page_uri"], auth=AUTH)).json()
    assert (len(last["messages"]), last["next_page_uri"]) == (2, None)
    nobody = (await sim.messages(To="+12025550199")).json()
    assert (nobody["messages"], nobody["next_page_uri"]) == ([], None)


async def test_a_page_has_a_thousand_messages_at_most(sim: Simulated) -> None:
    assert (await sim.messages(PageSize="5000")).json()["page_size"] == 1000
    assert (await sim.messages(PageSize="0")).json()["page_size"] == 1


@pytest.mark.parametrize(
    "query",
    [{"PageSize": "many"}, {"Page": "-1"}, {"DateSent": "yesterday"}, {"DateSent>": "2026-13-01"}],
)
async def test_a_filter_that_makes_no_sense_is_refused(
    sim: Simulated,
    query: dict[str, str],
) -> None:
    refused = await sim.messages(**query)
    assert (refused.status_code, refused.json()["code"]) == (400, 20001)


async def test_the_list_and_a_message_are_for_get_alone(sim: Simulated) -> None:
    (sid,) = await made(sim, A)
    for path, code in ((f"{MESSAGES}.json", 20004), (f"{MESSAGES}/{sid}.json", 20404)):
        assert (await sim.http.delete(path, auth=AUTH)).json()["code"] == code
    assert (await sim.message("SM" + "0" * 32)).json()["code"] == 20404
