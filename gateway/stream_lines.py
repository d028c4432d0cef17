"""The lines of a stream: decoded in small groups, committed together, answered one by one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping

from msgspec import Struct

from gateway.accept import answer, commit, errors_of, is_urgent, known_to, recipients_of, trace_of
from gateway.decoding import decode
from gateway.failures import problem_of
from gateway.faults import Known
from gateway.problems import TOO_LARGE, Problem, invalid
from gateway.resources import Resources
from gateway.schemas import Event, one
from outbox.domain.intake import NewEvent
from outbox.store.keys import Scope

LONGEST_LINE = 1024 * 1024
"""Bytes, as a whole body may hold elsewhere."""

_CHUNK = 100
"""Lines that are committed together; more would keep the process from others for too long."""

_CHUNK_RECIPIENTS = 1000
"""Of announcements in them, for the same reason."""


class Line(Struct, frozen=True):
    """One line that is to be answered."""

    number: int
    said: Event | Problem
    """The event, or why it is none."""


Chunk = list[Line]


def chunks_of(lines: Iterator[tuple[int, bytes | None]]) -> Iterator[Chunk]:
    """Lines in groups; one that repeats a key of its group begins the next.

    So that the first of two is always the new one, and the second the duplicate.
    """
    chunk: Chunk = []
    keys: set[tuple[str, str]] = set()
    told = 0
    for number, raw in lines:
        said = _said(raw)
        key = None if isinstance(said, Problem) else (said.source, said.id)
        more = 0 if isinstance(said, Problem) else recipients_of(said)
        full = len(chunk) == _CHUNK or told + more > _CHUNK_RECIPIENTS
        if chunk and (full or key in keys):
            yield chunk
            chunk, keys, told = [], set(), 0
        told += more
        chunk.append(Line(number, said))
        if key is not None:
            keys.add(key)
    if chunk:
        yield chunk


def _said(raw: bytes | None) -> Event | Problem:
    if raw is None:
        return Problem(TOO_LARGE, "a line may hold 1 MiB")
    try:
        event: Event = decode(one, raw)
    except Problem as problem:
        return problem
    return event


class Acceptor:
    """Takes the chunks of one stream."""

    def __init__(
        self,
        resources: Resources,
        *,
        headers: Mapping[str, str],
        where: str,
    ) -> None:
        """``headers`` of the stream; ``where`` is said in the log of a fault of ours."""
        self._resources = resources
        self._preparer = resources.preparer
        self._headers = headers
        self._where = where

    async def answered(self, chunk: Chunk) -> list[bytes | Problem]:
        """What to answer to each line of a chunk, after its commit."""
        events = [line.said for line in chunk if not isinstance(line.said, Problem)]
        try:
            # A stream may live longer than its key.
            await self._resources.keys.authorize(self._headers.get("authorization"), Scope.EVENTS)
            known = await known_to(self._resources, events)
        except Exception as error:  # noqa: BLE001 - every one becomes the answer, and is logged
            problem = problem_of(error, self._where)
            return [line.said if isinstance(line.said, Problem) else problem for line in chunk]
        prepared = [self._prepared(line.said, known) for line in chunk]
        urgent = is_urgent([each for each in prepared if not isinstance(each, Problem)])
        committing = [
            self._committed(line.number, each, urgent=urgent)
            for line, each in zip(chunk, prepared, strict=True)
        ]
        return await asyncio.gather(*committing)

    def _prepared(self, said: Event | Problem, known: dict[str, Known]) -> NewEvent | Problem:
        if isinstance(said, Problem):
            return said
        try:
            errors = errors_of(said, known)
            if errors:
                return invalid(errors)
            trace = trace_of(self._headers, [said])
            return self._preparer.prepare(said, known, trace=trace)
        except Exception as error:  # noqa: BLE001 - the same
            return problem_of(error, self._where)

    async def _committed(
        self,
        number: int,
        event: NewEvent | Problem,
        *,
        urgent: bool,
    ) -> bytes | Problem:
        if isinstance(event, Problem):
            return event
        try:
            [accepted] = await commit(self._resources, (event,), urgent=urgent)
        except Exception as error:  # noqa: BLE001 - the same
            return problem_of(error, self._where)
        return answer(accepted, f'"line":{number},')
