"""Connections of a gateway: slow ones are cut with a word, and a crowd keeps nobody out."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest
import uvicorn
from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, Scope

from gateway.connections import Crowd, Patience, protocol
from gateway.stream import PATH as STREAM

_WITHIN_S = 30.0
_HEAD = b"GET /quick HTTP/1.1\r\nHost: x\r\n\r\n"
_POST = b"POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"

Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Server:
    """uvicorn with our connections, and an app that reads a body, or waits to be told."""

    def __init__(self, *, most: int, patience: Patience) -> None:
        self.cut: Counter[str] = Counter()
        self.crowd = Crowd(most, lambda why: self.cut.update((why,)))
        self.go = asyncio.Event()
        self.asked = 0
        self.heard: list[str] = []
        self._patience = patience
        self._port = 0
        self._writers: list[asyncio.StreamWriter] = []

    async def app(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        assert scope["type"] == "http"
        self.asked += 1
        if scope["path"] == "/wait":
            await self.go.wait()
        while True:
            message = await receive()
            self.heard.append(message["type"])
            if message["type"] == "http.disconnect":
                return
            if not message.get("more_body"):
                break
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-length", b"2")],
                "trailers": False,
            }
        )
        await send({"type": "http.response.body", "body": b"ok", "more_body": False})

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        config = uvicorn.Config(
            self.app,
            http=protocol(self.crowd, self._patience),
            interface="asgi3",
            lifespan="off",
            log_config=None,
            port=0,
        )
        config.load()
        server = await asyncio.get_running_loop().create_server(
            lambda: config.http_protocol_class(  # type: ignore[call-arg]
                config=config, server_state=uvicorn.Server(config).server_state, app_state={}
            ),
            "127.0.0.1",
        )
        self._port = server.sockets[0].getsockname()[1]
        async with server:
            try:
                yield
            finally:
                for writer in self._writers:
                    writer.close()
                    with suppress(ConnectionError):
                        await writer.wait_closed()

    async def connect(self, first: bytes = b"") -> Pair:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers.append(writer)
        writer.write(first)
        return reader, writer


async def _answer(pair: Pair) -> tuple[int, bytes]:
    head = await asyncio.wait_for(pair[0].readuntil(b"\r\n\r\n"), _WITHIN_S)
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    return int(head.split()[1]), await asyncio.wait_for(pair[0].readexactly(length), _WITHIN_S)


async def _until(condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + _WITHIN_S
    while not condition():
        assert time.monotonic() < ends
        await asyncio.sleep(0.01)


async def _closed(pair: Pair) -> bool:
    return await asyncio.wait_for(pair[0].read(), _WITHIN_S) == b""


@asynccontextmanager
async def _server(
    *, most: int = 100, head: float = 60.0, body: float = 60.0
) -> AsyncIterator[Server]:
    server = Server(most=most, patience=Patience(head=head, body=body))
    async with server.serving():
        yield server


@pytest.mark.parametrize("first", [b"", b"GET /quick HT", _HEAD[:-2]])
async def test_a_head_that_does_not_come_is_answered_408(first: bytes) -> None:
    async with _server(head=0.2) as server:
        pair = await server.connect(first)
        status, body = await _answer(pair)
        assert (status, json.loads(body)["type"]) == (408, "/problems/slow")
        assert await _closed(pair)
        assert server.cut == {"slow head": 1}
        assert not server.asked
        await _until(lambda: not len(server.crowd))


async def test_a_head_that_trickles_has_no_more_time() -> None:
    async with _server(head=0.5) as server:
        pair = await server.connect()
        for byte in _HEAD[:-1]:
            if pair[0].at_eof() or server.cut:
                break
            pair[1].write(bytes((byte,)))
            await asyncio.sleep(0.05)
        assert (await _answer(pair))[0] == 408
        assert server.cut == {"slow head": 1}


async def test_the_next_request_of_a_connection_has_as_long() -> None:
    async with _server(head=0.3) as server:
        pair = await server.connect(_HEAD)
        assert await _answer(pair) == (200, b"ok")
        # Silence between requests is no slow head: uvicorn's keep-alive is for that.
        await asyncio.sleep(0.6)
        assert not server.cut
        pair[1].write(_HEAD[:7])
        assert (await _answer(pair))[0] == 408


async def test_a_body_that_does_not_come_is_answered_408_and_the_app_hears_it() -> None:
    async with _server(body=0.2) as server:
        pair = await server.connect(_POST + b"ab")
        assert (await _answer(pair))[0] == 408
        assert await _closed(pair)
        assert server.cut == {"slow body": 1}
        await _until(lambda: "http.disconnect" in server.heard)


async def test_a_stream_may_take_its_time() -> None:
    async with _server(body=0.1) as server:
        pair = await server.connect(_POST.replace(b"/read", STREAM.encode()))
        await asyncio.sleep(0.4)
        pair[1].write(b"abcd")
        assert await _answer(pair) == (200, b"ok")
        assert not server.cut


async def test_who_waits_for_an_answer_is_not_slow() -> None:
    async with _server(head=0.1, body=0.1) as server:
        pair = await server.connect(_HEAD.replace(b"/quick", b"/wait") + _HEAD[:9])
        await asyncio.sleep(0.5)
        assert not server.cut
        server.go.set()
        assert await _answer(pair) == (200, b"ok")


async def test_what_is_no_http_gets_a_problem() -> None:
    async with _server() as server:
        pair = await server.connect(b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n")
        status, body = await _answer(pair)
        assert (status, json.loads(body)["type"]) == (400, "/problems/invalid")
        assert await _closed(pair)
        await _until(lambda: not len(server.crowd))


async def test_a_stranger_makes_room_first_then_who_rests_and_never_who_asks() -> None:
    async with _server(most=3) as server:
        asking = await server.connect(_HEAD.replace(b"/quick", b"/wait"))
        resting = await server.connect(_HEAD)
        assert await _answer(resting) == (200, b"ok")
        stranger = await server.connect()
        await _until(lambda: len(server.crowd) == 3 and server.asked == 2)
        second = await server.connect()
        assert await _closed(stranger)
        second[1].write(_HEAD)
        assert await _answer(second) == (200, b"ok")
        # Both rest now: the one that has rested longer goes.
        third = await server.connect(_HEAD)
        assert await _answer(third) == (200, b"ok")
        assert await _closed(resting)
        server.go.set()
        assert await _answer(asking) == (200, b"ok")
        assert server.cut == {"crowded": 2}


async def test_where_all_others_are_at_work_the_new_one_goes() -> None:
    async with _server(most=1) as server:
        asking = await server.connect(_HEAD.replace(b"/quick", b"/wait"))
        await _until(lambda: server.asked == 1)
        assert await _closed(await server.connect())
        server.go.set()
        assert await _answer(asking) == (200, b"ok")


async def test_a_flood_of_strangers_is_bounded_and_keeps_nobody_out() -> None:
    async with _server(most=20) as server:
        for _ in range(200):
            await server.connect(b"GET /")
        pair = await server.connect(_HEAD)
        assert await _answer(pair) == (200, b"ok")
        assert len(server.crowd) <= 20
