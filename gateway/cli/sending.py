"""Posts batches of events until each event is accepted or refused; repeats nothing by accident.

An answer that was lost is asked for again: the gateway knows an event by its source and id.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
from msgspec import Struct

from gateway.cli.lines import Bad, Line
from outbox.providers.transport import Answer, PooledTransport, TransportFault, retry_after_s

TIMEOUT_S = 30.0
FIRST_CONTACT_S = 10.0
"""A gateway that never answered is sooner a wrong address than one that is away."""
_AT_ONCE = 8
_KEPT = 1000
"""Refusals with their reasons; the rest is counted."""
_ACCEPTED, _TOO_LARGE, _SERVER_ERROR = 202, 413, 500
_REFUSED_KEY = (401, 403)
_AGAIN_LATER = 429


class AwayError(Exception):
    """The gateway did not accept for too long, or what answers is no gateway."""


class KeyRefusedError(Exception):
    """The API key does not exist, was revoked, or may not do this."""


class Refused(Struct, frozen=True):
    """One event that the gateway will not take."""

    line: int
    reason: str


class Report(Struct, kw_only=True):
    """What became of what was sent."""

    accepted: int = 0
    duplicate: int = 0
    """Were there already."""
    refused: list[Refused] = []
    """The first thousand."""
    refused_in_all: int = 0
    notifications: int = 0

    def refuse(self, line: int, reason: str) -> None:
        """One more is refused."""
        self.refused_in_all += 1
        if len(self.refused) < _KEPT:
            self.refused.append(Refused(line, reason))


class Sender:
    """Posts to one gateway, and counts."""

    def __init__(
        self,
        *,
        url: str,
        key: str,
        transport: PooledTransport,
        patience_s: float,
        on_wait: Callable[[str], None],
        report: Report | None = None,
    ) -> None:
        """``patience_s``: how long a gateway may be away before `AwayError`."""
        self._url = f"{url.rstrip('/')}/v1/events"
        self._headers = {
            "Authorization": f"Bearer {key}",
            "Content-Type": "application/cloudevents-batch+json",
        }
        self._transport = transport
        self._patience_s = patience_s
        self._on_wait = on_wait
        self._met = False
        self.report = report or Report()

    async def post(self, lines: list[Line]) -> None:
        """Post one batch; events that are refused are taken out and the rest is posted again."""
        while lines:
            body = b"[" + b",".join(line.raw for line in lines) + b"]"
            answer = await self._until_answered(body)
            if answer.status == _ACCEPTED:
                self._count(answer)
                return
            if answer.status == _TOO_LARGE and len(lines) > 1:
                half = len(lines) // 2
                await self.post(lines[:half])
                lines = lines[half:]
                continue
            lines = self._without_refused(lines, answer)

    async def _until_answered(self, body: bytes) -> Answer:
        since = time.monotonic()
        while True:
            pause = 0.5
            try:
                answer = await self._transport.request(
                    "POST", self._url, headers=self._headers, body=body
                )
            except TransportFault as fault:
                why = _FAULTS.get(fault.kind, fault.kind)
            else:
                if answer.status < _SERVER_ERROR and answer.status != _AGAIN_LATER:
                    self._met = True
                    return answer
                why = _detail(answer) or f"HTTP {answer.status}"
                pause = min(max(retry_after_s(answer.headers) or 1.0, 0.1), 30.0)
            patience = self._patience_s
            if not self._met:
                patience = min(patience, FIRST_CONTACT_S)
            waited = time.monotonic() - since
            if waited + pause > patience:
                msg = f"{self._url} did not accept for {waited:.0f} s: {why}"
                raise AwayError(msg)
            self._on_wait(f"waiting for the gateway: {why}")
            await asyncio.sleep(pause)

    def _count(self, answer: Answer) -> None:
        try:
            results = msgspec.json.decode(answer.body, type=_Results).results
        except msgspec.DecodeError:
            msg = f"{self._url} answers, but not as a gateway does"
            raise AwayError(msg) from None
        for result in results:
            self.report.notifications += len(result.notifications)
            if result.duplicate:
                self.report.duplicate += 1
            else:
                self.report.accepted += 1

    def _without_refused(self, lines: list[Line], answer: Answer) -> list[Line]:
        problem = _problem(answer)
        if answer.status in _REFUSED_KEY:
            raise KeyRefusedError(problem.detail or f"HTTP {answer.status}")
        reasons: dict[int, str] = {}
        for error in problem.errors:
            if error.index is not None and error.index < len(lines):
                reason = f"{error.path}: got {error.got}; accepted: {error.accepted}"
                reasons.setdefault(error.index, reason)
        if not reasons and len(lines) == 1 and problem.type:
            reasons = {0: problem.detail or f"HTTP {answer.status}"}
        if not reasons:
            said = problem.detail or f"HTTP {answer.status}"
            msg = f"{self._url} answers, but not as a gateway does: {said}"
            raise AwayError(msg)
        for index, reason in sorted(reasons.items()):
            self.report.refuse(lines[index].number, reason)
        return [line for index, line in enumerate(lines) if index not in reasons]


class _Result(Struct):
    duplicate: bool
    notifications: list[Any]


class _Results(Struct):
    results: list[_Result]


class _FieldError(Struct):
    path: str = ""
    got: str = ""
    accepted: str = ""
    index: int | None = None


class _Problem(Struct):
    type: str = ""
    detail: str = ""
    errors: list[_FieldError] = []


_FAULTS = {
    "connect": "no connection",
    "connect_timeout": "no connection in time",
    "dns": "no such host",
    "tls": "no secure connection",
    "timeout": "no answer in time",
    "closed": "the connection was closed",
    "broken": "a broken answer",
}


def _problem(answer: Answer) -> _Problem:
    try:
        return msgspec.json.decode(answer.body, type=_Problem)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _Problem()


def _detail(answer: Answer) -> str:
    return _problem(answer).detail


async def post_all(
    batches: AsyncIterator[list[Line] | Bad],
    sender: Sender,
    *,
    on_lines: Callable[[int], None],
) -> None:
    """Post all batches, a few at a time; the first fault ends all of it."""
    slots = asyncio.Semaphore(_AT_ONCE)

    async def one(batch: list[Line]) -> None:
        try:
            await sender.post(batch)
            on_lines(len(batch))
        finally:
            slots.release()

    try:
        async with asyncio.TaskGroup() as group:
            async for batch in batches:
                if isinstance(batch, Bad):
                    sender.report.refuse(batch.number, batch.why)
                    on_lines(1)
                    continue
                await slots.acquire()
                group.create_task(one(batch))
    except BaseExceptionGroup as faults:
        raise faults.exceptions[0] from None
