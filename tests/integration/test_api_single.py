"""One event goes a way of its own: nobody outside can tell it from the framework's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient

from outbox.store.keys import Scope

from .conftest import MakeKey, confirmed, missed

_LEAN, _FRAMEWORK = "application/json", "application/json; charset=utf-8"
_VARYING = {"event_id", "id", "instance"}

_BODIES: dict[str, Callable[[], bytes]] = {
    "accepted": lambda: json.dumps(confirmed()).encode(),
    "nothing": lambda: b"",
    "no JSON": lambda: b"{",
    "no UTF-8": lambda: b'{"id": "\xff"}',
    "nested": lambda: b"[" * 60_000,
    "unknown field": lambda: json.dumps({**missed(), "data": {"what": 1}}).encode(),
    "unknown type": lambda: json.dumps({**missed(), "type": "x"}).encode(),
    "wrong subject": lambda: json.dumps({**missed(), "subject": "m_other"}).encode(),
    "NUL": lambda: json.dumps({**missed(), "id": "a\0b"}).encode(),
}


def _same(answer: httpx.Response) -> tuple[object, ...]:
    def plain(value: Any) -> Any:  # noqa: ANN401 - JSON
        if isinstance(value, dict):
            return {k: plain(v) if k not in _VARYING else "…" for k, v in value.items()}
        return [plain(each) for each in value] if isinstance(value, list) else value

    headers = {name: value for name, value in answer.headers.items() if name != "content-length"}
    return answer.status_code, headers, plain(answer.json())


@pytest.mark.parametrize("body", _BODIES)
async def test_both_ways_answer_the_same(api: AsyncTestClient[Litestar], body: str) -> None:
    lean, framework = [
        await api.post("/v1/events", content=_BODIES[body](), headers={"Content-Type": kind})
        for kind in (_LEAN, _FRAMEWORK)
    ]
    assert _same(lean) == _same(framework)
    assert lean.headers["content-length"] == str(len(lean.content))


async def test_a_repetition_says_so_whichever_way_it_came(api: AsyncTestClient[Litestar]) -> None:
    content = json.dumps(missed()).encode()
    for kinds in ((_LEAN, _FRAMEWORK), (_FRAMEWORK, _LEAN)):
        answers = [
            await api.post("/v1/events", content=content, headers={"Content-Type": kind})
            for kind in kinds
        ]
        assert answers[1].headers["idempotent-replay"] == "true"
        assert answers[1].json()["duplicate"] is True
        assert answers[0].json()["event_id"] == answers[1].json()["event_id"]


async def test_keys_are_asked_for_in_both(
    anonymous: AsyncTestClient[Litestar], make_key: MakeKey
) -> None:
    for key, status in ((None, 401), ("Bearer x", 401), (make_key(Scope.READ), 403)):
        given = {} if key is None else {"Authorization": key}
        lean, framework = [
            await anonymous.post(
                "/v1/events",
                content=json.dumps(missed()).encode(),
                headers={**given, "Content-Type": kind},
            )
            for kind in (_LEAN, _FRAMEWORK)
        ]
        assert lean.status_code == status
        assert _same(lean) == _same(framework)


async def test_a_client_that_goes_away_in_its_body_is_no_fault(
    served: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.base_url.port)
    writer.write(
        b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n"
        b"Content-Type: application/json\r\n"
        b"Authorization: " + served.headers["Authorization"].encode() + b'\r\n\r\n{"id"'
    )
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert await reader.read() == b""
    answer = await served.post("/v1/events", json=missed())
    assert answer.status_code == 202
    wanted = {'route="/v1/events"', 'status="499"'}
    async with asyncio.timeout(30):
        while not any(  # noqa: ASYNC110 - of another process, as it were
            all(each in line for each in wanted)
            for line in (await served.get("/metrics")).text.splitlines()
        ):
            await asyncio.sleep(0.01)
    assert "fault" not in caplog.text
