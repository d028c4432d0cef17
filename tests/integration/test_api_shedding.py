"""The door: bodies that find no room are asked to come back, and batches keep out no alert."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from gateway.shedding import Shedding

_MIB = 1024 * 1024


class Door:
    """An app behind it that answers when it is told to."""

    def __init__(self, **rooms: int) -> None:
        self.go_on = asyncio.Event()
        self.inside = 0
        self.door = Shedding(self._app, **rooms)

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401
        self.inside += 1
        await self.go_on.wait()
        self.inside -= 1
        await send({"type": "http.response.start", "status": 202, "headers": []})

    async def ask(self, *headers: tuple[bytes, bytes]) -> tuple[int, dict[bytes, bytes], Any]:
        """One request; status, headers and problem."""
        said: list[Any] = []

        async def send(message: Any) -> None:  # noqa: ANN401
            said.append(message)

        async def receive() -> Any:  # noqa: ANN401
            return {"type": "http.request", "body": b"", "more_body": False}

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/v1/events",
            "headers": list(headers),
            "query_string": b"",
        }
        await self.door(scope, receive, send)  # type: ignore[arg-type]
        body = b"".join(each.get("body", b"") for each in said[1:])
        return said[0]["status"], dict(said[0]["headers"]), json.loads(body) if body else None


def _length(size: int) -> tuple[bytes, bytes]:
    return (b"content-length", str(size).encode())


async def test_long_bodies_fill_their_own_room_only() -> None:
    door = Door(long_room=3 * _MIB, short_room=_MIB)
    held = [asyncio.create_task(door.ask(_length(_MIB))) for _ in range(2)]
    await asyncio.sleep(0)
    status, headers, problem = await door.ask(_length(_MIB))
    assert status == 503
    assert int(headers[b"retry-after"]) > 0
    assert problem["type"] == "/problems/unavailable"
    held.append(asyncio.create_task(door.ask(_length(600))))
    await asyncio.sleep(0)
    assert door.inside == 3
    door.go_on.set()
    assert [(await task)[0] for task in held] == [202] * 3
    # The room is free again.
    assert (await door.ask(_length(_MIB)))[0] == 202


@pytest.mark.parametrize(
    "header",
    [(b"transfer-encoding", b"chunked"), (b"content-length", b"many"), _length(10**9)],
    ids=["unknown", "no number", "more than is taken"],
)
async def test_a_body_counts_for_what_it_may_become(header: tuple[bytes, bytes]) -> None:
    door = Door(long_room=_MIB, short_room=_MIB)
    assert (await door.ask(header))[0] == 503
    roomy = Door(long_room=2 * _MIB, short_room=_MIB)
    roomy.go_on.set()
    assert (await roomy.ask(header))[0] == 202


async def test_what_has_no_body_is_never_refused() -> None:
    door = Door(long_room=0, short_room=0)
    door.go_on.set()
    assert (await door.ask())[0] == 202
    assert (await door.ask(_length(0)))[0] == 202


async def test_room_is_given_back_when_a_request_is_cancelled() -> None:
    door = Door(long_room=2 * _MIB, short_room=_MIB)
    task = asyncio.create_task(door.ask(_length(_MIB)))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    door.go_on.set()
    assert (await door.ask(_length(_MIB)))[0] == 202
