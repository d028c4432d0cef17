"""POST /v1/events/stream: NDJSON in and out, of any length; each line is committed as it comes.

Lines are answered one by one, in order. Reading waits for the commits, so memory is bounded; a
client that goes away cancels nothing that was read.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, cast

from litestar import Request, Router, post
from litestar.types import ASGIApp, HTTPDisconnectEvent, HTTPRequestEvent, Receive, Scope, Send

from gateway import examples
from gateway.auth import requires
from gateway.decoding import require_media_type
from gateway.documented import Answer, Body, documented
from gateway.events import EventAnswer
from gateway.failures import unavailable
from gateway.ndjson import Answers, Lines
from gateway.problems import Problem, ProblemLine, as_line
from gateway.resources import Resources, resources_of
from gateway.schemas import Event
from gateway.stream_lines import LONGEST_LINE, Acceptor, Chunk, Line, chunks_of
from outbox.store.keys import Scope as KeyScope

_log = logging.getLogger(__name__)

MEDIA_TYPE = "application/x-ndjson"
_ACCEPTED = (MEDIA_TYPE, "application/ndjson", "application/jsonl")
_SILENCE_S = 120.0
"""A client that neither sends nor reads for so long holds no place."""

_IN_MEMORY = 1024 * 1024
_ON_DISK = 64 * 1024 * 1024
"""Answers of one stream that may wait for its client."""

PATH = "/v1/events/stream"


class LineAnswer(EventAnswer, frozen=True, kw_only=True):
    """What the event of one line became."""

    line: int
    """From 1, empty lines counted."""


class _Stream:
    """One stream: reads, commits and answers at the same time."""

    def __init__(self, request: Request[Any, Any, Any], resources: Resources) -> None:
        self._places = resources.streams
        self._acceptor = Acceptor(
            resources,
            headers=request.headers,
            where=f"POST {PATH}",
        )
        self._draining: asyncio.Event = request.app.state.draining
        # One chunk is committed while the next is being decoded.
        self._chunks: asyncio.Queue[Chunk | None] = asyncio.Queue(1)

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        try:
            async with self._places, asyncio.TaskGroup() as group:
                with Answers(in_memory=_IN_MEMORY, on_disk=_ON_DISK) as answers:
                    group.create_task(self._read(receive))
                    group.create_task(self._accept(answers))
                    await self._send(send, answers)
        except* TimeoutError:
            # Not ended in order: the client sees that answers are missing.
            _log.warning("a client did not read the answers of its stream")

    async def _read(self, receive: Receive) -> None:
        """Cut what comes into chunks, until the stream ends or breaks off."""
        lines = Lines(longest=LONGEST_LINE)
        draining = asyncio.create_task(self._draining.wait())
        try:
            more = True
            while more:
                message = await self._next(receive, draining)
                if message["type"] == "http.disconnect":
                    # Its last line may not be whole.
                    break
                for chunk in chunks_of(lines.feed(message["body"])):
                    await self._chunks.put(chunk)
                more = message.get("more_body", False)
            else:
                for chunk in chunks_of(lines.end()):
                    await self._chunks.put(chunk)
        except Problem as problem:
            await self._chunks.put([Line(lines.following, problem)])
        finally:
            draining.cancel()
        await self._chunks.put(None)

    async def _next(
        self,
        receive: Receive,
        draining: asyncio.Task[bool],
    ) -> HTTPRequestEvent | HTTPDisconnectEvent:
        receiving = asyncio.ensure_future(receive())
        try:
            done, _ = await asyncio.wait(
                {receiving, draining},
                timeout=_SILENCE_S,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if receiving in done and draining not in done:
                return cast("HTTPRequestEvent | HTTPDisconnectEvent", receiving.result())
        finally:
            receiving.cancel()
        why = "the gateway is shutting down" if done else "nothing came for too long"
        detail = f"{why}: neither this line nor any after it was read"
        raise unavailable(detail)

    async def _accept(self, answers: Answers) -> None:
        """Commit chunk by chunk; after a 503 the next one has to wait."""
        pause = 0
        while (chunk := await self._chunks.get()) is not None:
            await asyncio.sleep(pause)
            said = await self._acceptor.answered(chunk)
            lines = [
                as_line(each, line.number) if isinstance(each, Problem) else each
                for line, each in zip(chunk, said, strict=True)
            ]
            await answers.put(b"\n".join([*lines, b""]))
            pause = max(
                (each.retry_after_s or 0 for each in said if isinstance(each, Problem)), default=0
            )
        await answers.end()

    async def _send(self, send: Send, answers: Answers) -> None:
        """Pass answers on as they come; the first ones bring the head."""
        piece = await answers.get()
        headers = [(b"content-type", MEDIA_TYPE.encode()), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": 202, "headers": headers})
        while True:
            async with asyncio.timeout(_SILENCE_S):
                await send(
                    {"type": "http.response.body", "body": piece, "more_body": bool(piece)},
                )
            if not piece:
                return
            piece = await answers.get()


@post(
    PATH,
    guards=[requires(KeyScope.EVENTS)],
    status_code=202,
    # Each line has its limit; the stream has none.
    request_max_body_size=None,
    opt=documented(
        scope=KeyScope.EVENTS,
        bodies={
            MEDIA_TYPE: Body(
                Event,
                examples.LINES,
                text="One event a line, each of at most 1 MiB, as many as wanted.",
            ),
        },
        answers={
            202: Answer(
                "One line for each line, in order: what it became, or its problem",
                (LineAnswer, ProblemLine),
                MEDIA_TYPE,
                examples={"accepted": examples.ACCEPTED_LINE, "refused": examples.REFUSED_LINE},
            ),
        },
    ),
    tags=["events"],
)
async def stream_events(request: Request[Any, Any, Any]) -> ASGIApp:
    """Post events as NDJSON, answered line by line. Here 202 means only that reading began.

    Each line is committed as it comes and answered by a line of its own: what `POST /v1/events`
    answers for a single event, or the problem, both with the number of the line. A problem
    concerns its own line, the others are accepted. A line with `retry_after_s` can be sent again;
    so can all of them, as what was accepted is recognised.

    The answers are best read while the stream is sent. A client that reads them only at the end
    may send about 200,000 lines at a time.
    """
    require_media_type(request.headers, _ACCEPTED)
    resources = resources_of(request)
    if resources.intake.connected == 0:
        detail = "the database cannot be reached"
        raise unavailable(detail)
    if resources.streams.locked():
        detail = "too many streams are open"
        raise unavailable(detail)
    return _Stream(request, resources)


router = Router("/", route_handlers=[stream_events])
