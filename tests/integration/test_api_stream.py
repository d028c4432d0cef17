"""Streams: an answer for each line, in order; each line stands for itself."""

from __future__ import annotations

import json
import resource
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient

from outbox.store.keys import Scope

from .conftest import BOB, CAROL, NDJSON, MakeKey, confirmed, missed, nothing_is_written, rows
from .test_api_problems import assert_problem
from .wire import PATH, ndjson_of

_TYPE = {"content-type": NDJSON}
_EVENTS = "SELECT count(*) FROM event"


async def post(client: httpx.AsyncClient | AsyncTestClient[Litestar], body: bytes) -> list[Any]:
    answer = await client.post(PATH, content=body, headers=_TYPE)
    assert answer.status_code == 202, answer.text
    assert answer.headers["content-type"] == NDJSON
    return [json.loads(line) for line in answer.text.splitlines()]


async def test_each_line_is_answered_in_order(
    api: AsyncTestClient[Litestar], database_url: str
) -> None:
    events = [missed(subject=f"m{n}") for n in range(250)]
    for n, each in enumerate(events):
        each["data"]["member"] = {**each["data"]["member"], "id": f"m{n}"}
    bad = missed()
    del bad["data"]["due_at"]
    body = ndjson_of([*events[:120], bad]) + b"\n{broken\r\n" + ndjson_of(events[120:])
    answers = await post(api, body[:-1])
    assert [each["line"] for each in answers] == [*range(1, 122), *range(123, 254)]
    refused = [each for each in answers if "status" in each]
    assert [(each["line"], each["status"]) for each in refused] == [(121, 400), (123, 400)]
    assert refused[0]["type"] == "/problems/invalid"
    [error] = refused[0]["errors"]
    assert (error["path"], error["got"]) == ("$.data.due_at", "nothing")
    stored = dict(rows(database_url, "SELECT id::text, source_id FROM event"))
    accepted = [each for each in answers if "event_id" in each]
    assert [stored[each["event_id"]] for each in accepted] == [each["id"] for each in events]
    for each in accepted:
        assert each["duplicate"] is False
        [notification] = each["notifications"]
        assert notification["id"]
        assert (notification["recipient"], notification["lane"]) == ("c_1", "safety")


async def test_an_empty_stream_has_an_empty_answer(api: AsyncTestClient[Litestar]) -> None:
    for body in (b"", b"\n", b"\n \r\n\n"):
        assert await post(api, body) == []


@pytest.mark.parametrize("make", [missed, confirmed])
async def test_the_first_of_two_is_new_and_the_second_repeats_it(
    api: AsyncTestClient[Litestar],
    database_url: str,
    make: Callable[..., dict[str, Any]],
) -> None:
    once = make(BOB)
    other = {**once, "data": make(CAROL)["data"]}
    first, again, conflict, last = await post(api, ndjson_of([once, once, other, once]))
    assert (first["duplicate"], again["duplicate"], last["duplicate"]) == (False, True, True)
    assert first["event_id"] == again["event_id"] == last["event_id"]
    assert first["notifications"] == again["notifications"] == last["notifications"]
    assert (conflict["line"], conflict["status"]) == (3, 422)
    assert conflict["type"] == "/problems/key-reused"
    assert rows(database_url, _EVENTS) == [(1,)]
    assert [each["duplicate"] for each in await post(api, ndjson_of([once]))] == [True]


async def test_two_alerts_of_one_member_tell_each_contact_once(
    api: AsyncTestClient[Litestar],
) -> None:
    first, second = await post(api, ndjson_of([missed(BOB), missed(BOB, CAROL)]))
    assert [each["recipient"] for each in first["notifications"]] == ["c_1"]
    assert [each["recipient"] for each in second["notifications"]] == ["c_2"]


async def test_contacts_by_id_are_looked_up(api: AsyncTestClient[Litestar]) -> None:
    await api.put("/v1/recipients/c_1", json={"phone": BOB["phone"]})
    known, unknown = await post(
        api,
        ndjson_of([confirmed({"id": "c_1"}), confirmed({"id": "c_9"})]),
    )
    assert known["notifications"]
    assert unknown["errors"][0]["path"] == "$.data.contacts[0].phone"


async def test_a_line_has_a_limit_and_the_stream_has_none(served: httpx.AsyncClient) -> None:
    def largest() -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

    piece = b"x" * 1024 * 1024
    before = largest()

    async def body() -> AsyncIterator[bytes]:
        for _ in range(200):
            yield piece
        yield b"\n" + ndjson_of([confirmed()])
        for _ in range(200):
            yield piece + b"x\n"
        yield ndjson_of([confirmed()])

    answer = await served.post(PATH, content=body(), headers=_TYPE)
    answers = [json.loads(line) for line in answer.text.splitlines()]
    assert [each.get("status") for each in answers] == [413, None, *[413] * 200, None]
    assert [each["line"] for each in answers] == list(range(1, 204))
    # 400 MiB went through; client and server are both in this process.
    assert largest() - before < 64


async def test_while_the_database_is_away_no_stream_begins(
    api: AsyncTestClient[Litestar],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(api.app.state.resources.intake, "connected", 0)
    answer = await api.post(PATH, content=ndjson_of([confirmed()]), headers=_TYPE)
    assert_problem(answer, 503, "unavailable")
    assert int(answer.headers["retry-after"]) > 0


async def test_only_so_many_streams_at_once(api: AsyncTestClient[Litestar]) -> None:
    places = api.app.state.resources.streams
    while not places.locked():
        await places.acquire()
    answer = await api.post(PATH, content=b"", headers=_TYPE)
    assert_problem(answer, 503, "unavailable")
    places.release()
    assert await post(api, b"") == []


async def test_refusals_before_the_first_line(
    anonymous: AsyncTestClient[Litestar],
    make_key: MakeKey,
    database_url: str,
) -> None:
    body = ndjson_of([confirmed()])
    right = {"Authorization": make_key(Scope.EVENTS)}
    wrong = {"Authorization": make_key(Scope.READ, Scope.RECIPIENTS)}
    with nothing_is_written(database_url):
        for headers, status, name in (
            (_TYPE, 401, "unauthorized"),
            ({**_TYPE, **wrong}, 403, "scope"),
            ({"content-type": "application/json", **right}, 415, "unsupported-media-type"),
            (right, 415, "unsupported-media-type"),
            ({**_TYPE, "content-encoding": "gzip", **right}, 415, "unsupported-media-type"),
            (
                {"content-type": NDJSON + "; charset=latin-1", **right},
                415,
                "unsupported-media-type",
            ),
        ):
            answer = await anonymous.post(PATH, content=body, headers=headers)
            assert_problem(answer, status, name)
        answer = await anonymous.get(PATH, headers=right)
        assert_problem(answer, 405, "method-not-allowed")
        assert "POST" in answer.headers["allow"]
