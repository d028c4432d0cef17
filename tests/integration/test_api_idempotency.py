"""The same event again, in any form and at the same time: the same ids, and nothing twice."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

import httpx
import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient

from .conftest import (
    ALICE,
    BATCH,
    BOB,
    CAROL,
    SINGLE,
    confirmed,
    invited,
    missed,
    nothing_is_written,
    rows,
)
from .test_api_problems import assert_problem

_PATH = "/v1/events"
_MADE = "SELECT (SELECT count(*) FROM event), (SELECT count(*) FROM notification)"


@pytest.mark.parametrize("posted", [missed(BOB, CAROL), confirmed(BOB), invited()])
async def test_a_replay_has_the_same_ids_and_changes_nothing(
    api: AsyncTestClient[Litestar],
    database_url: str,
    posted: dict[str, Any],
) -> None:
    first = await api.post(_PATH, json=posted)
    assert first.status_code == 202
    with nothing_is_written(database_url):
        again = await api.post(_PATH, json=posted)
    assert again.status_code == 202
    assert again.headers["idempotent-replay"] == "true"
    assert "idempotent-replay" not in first.headers
    assert again.json() == {**first.json(), "duplicate": True}


_ONCE = missed(BOB, id="once")
_SAME: list[dict[str, Any]] = [
    dict(reversed(_ONCE.items())),
    {**_ONCE, "time": "2026-11-23T04:00:00-05:00"},
    {**_ONCE, "time": "2026-11-23T09:00:00.000Z"},
    {**_ONCE, "data": {**_ONCE["data"], "due_at": "2026-11-23T14:00:00+05:30"}},
    {**_ONCE, "extension": "ignored"},
    {**_ONCE, "datacontenttype": None},
    {**_ONCE, "data": {**_ONCE["data"], "contacts": [{**BOB, "timezone": None}]}},
]
_OTHER: list[dict[str, Any]] = [
    {**_ONCE, "time": "2026-11-23T09:00:01Z"},
    {**_ONCE, "data": {**_ONCE["data"], "contacts": [CAROL]}},
    {**_ONCE, "data": {**_ONCE["data"], "contacts": [BOB, BOB]}},
    {**_ONCE, "data": {**_ONCE["data"], "member": {**ALICE, "name": "alice"}}},
    {**_ONCE, "data": {**_ONCE["data"], "due_at": "2026-11-23T08:30:00.000001Z"}},
    confirmed(BOB, id="once"),
]


async def test_equal_is_what_decodes_to_the_same(
    api: AsyncTestClient[Litestar], database_url: str
) -> None:
    first = (await api.post(_PATH, json=_ONCE)).json()
    spaced = json.dumps(_ONCE, indent=3, ensure_ascii=True).encode()
    headers = {"content-type": SINGLE}
    with nothing_is_written(database_url):
        for same in (spaced, *(json.dumps(each).encode() for each in _SAME)):
            answer = await api.post(_PATH, content=same, headers=headers)
            assert answer.json() == {**first, "duplicate": True}
        for other in _OTHER:
            answer = await api.post(_PATH, json=other)
            problem = assert_problem(answer, 422, "key-reused")
            [error] = problem["errors"]
            assert error["path"] == "$.id"
            assert "index" not in error
    # The same id of another source is another event.
    assert (await api.post(_PATH, json={**_ONCE, "source": "else"})).json()["duplicate"] is False


async def test_a_replay_is_recognised_across_batches(
    api: AsyncTestClient[Litestar], database_url: str
) -> None:
    events = [missed(), confirmed(), invited()]
    headers = {"content-type": BATCH}
    single = (await api.post(_PATH, json=events[0])).json()
    first = await api.post(_PATH, json=events, headers=headers)
    results = first.json()["results"]
    assert results[0] == {**single, "duplicate": True}
    assert [result["duplicate"] for result in results] == [True, False, False]
    # Only a batch that is known as a whole is a replay.
    assert "idempotent-replay" not in first.headers
    with nothing_is_written(database_url):
        again = await api.post(_PATH, json=events[::-1], headers=headers)
    assert again.headers["idempotent-replay"] == "true"
    assert again.json()["results"] == [{**r, "duplicate": True} for r in reversed(results)]


async def test_fifty_at_once_are_one_event(served: httpx.AsyncClient, database_url: str) -> None:
    for posted in (missed(BOB, CAROL), confirmed(BOB)):
        before = rows(database_url, _MADE)[0]
        answers = await asyncio.gather(*(served.post(_PATH, json=posted) for _ in range(50)))
        assert {answer.status_code for answer in answers} == {202}
        bodies = [answer.json() for answer in answers]
        assert sorted(body.pop("duplicate") for body in bodies) == [False] + [True] * 49
        assert all(body == bodies[0] for body in bodies)
        replays = [answer.headers.get("idempotent-replay") for answer in answers]
        assert replays.count("true") == 49
        after = rows(database_url, _MADE)[0]
        assert after[0] - before[0] == 1
        assert after[1] - before[1] == len(bodies[0]["notifications"])


async def test_two_contents_at_once_leave_one(served: httpx.AsyncClient, database_url: str) -> None:
    one, other = confirmed(BOB, id="same"), confirmed(CAROL, id="same")
    answers = await asyncio.gather(
        *(served.post(_PATH, json=one if n % 2 else other) for n in range(40))
    )
    assert sorted(answer.status_code for answer in answers) == [202] * 20 + [422] * 20
    assert len({a.json()["event_id"] for a in answers if a.status_code == 202}) == 1
    assert rows(database_url, _MADE) == [(1, 1)]


async def test_batches_that_overlap_in_any_order_wait_for_each_other(
    served: httpx.AsyncClient,
    database_url: str,
) -> None:
    chance = random.Random(7)
    members = [{**ALICE, "id": f"m{n}"} for n in range(20)]
    events = []
    for n in range(60):
        made = (missed if n % 2 else confirmed)({**BOB, "id": f"c{n}"}, subject=f"m{n % 20}")
        made["data"]["member"] = members[n % 20]
        events.append(made)
    batches = [chance.sample(events, 40) for _ in range(30)]
    for batch in batches:
        # Also twice in the same batch.
        batch.extend(chance.sample(batch, 5))
    answers = await asyncio.gather(
        *(served.post(_PATH, json=batch, headers={"content-type": BATCH}) for batch in batches)
    )
    assert {answer.status_code for answer in answers} == {202}
    known: dict[str, str] = {}
    new = 0
    for batch, answer in zip(batches, answers, strict=True):
        for posted, result in zip(batch, answer.json()["results"], strict=True):
            assert known.setdefault(posted["id"], result["event_id"]) == result["event_id"]
            new += not result["duplicate"]
    posted_ids = {posted["id"] for batch in batches for posted in batch}
    assert new == len(posted_ids)
    assert rows(database_url, "SELECT count(*) FROM event") == [(len(posted_ids),)]
    deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    assert rows(database_url, deadlocks) == [(0,)]
