"""``pruuf send``: posts events from NDJSON. Running it again repeats nothing: keys are idempotent."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from msgspec import Struct
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from gateway.cli.outcome import Exit, err, fail, out
from outbox.providers.transport import Answer, PooledTransport, TransportFault

_BATCH = 100
_AT_ONCE = 8
_TIMEOUT_S = 30.0
_ACCEPTED = 202
_AGAIN = {429, 503}
_SHOWN = 20


class Refused(Struct, frozen=True):
    """One event that the gateway will not take."""

    line: int
    reason: str


class Report(Struct, kw_only=True):
    """What became of a file."""

    accepted: int = 0
    duplicate: int = 0
    refused: list[Refused] = []
    notifications: int = 0


class Sender:
    """Posts batches until each is accepted or refused; a lost answer is asked for again."""

    def __init__(
        self,
        *,
        url: str,
        key: str,
        transport: PooledTransport,
        patience_s: float,
        on_wait: Callable[[str], None],
    ) -> None:
        """``patience_s``: how long a gateway may be away before the run ends."""
        self._url = f"{url.rstrip('/')}/v1/events"
        self._headers = {
            "Authorization": f"Bearer {key}",
            "Content-Type": "application/cloudevents-batch+json",
        }
        self._transport = transport
        self._patience_s = patience_s
        self._on_wait = on_wait
        self.report = Report()

    async def post(self, lines: list[tuple[int, bytes]]) -> None:
        """Post one batch; events that are refused are taken out and the rest is posted again."""
        while lines:
            answer = await self._until_answered(b"[" + b",".join(raw for _, raw in lines) + b"]")
            if answer.status == _ACCEPTED:
                self._count(answer)
                return
            lines = self._without_refused(lines, answer)

    async def _until_answered(self, body: bytes) -> Answer:
        waited = 0.0
        while True:
            try:
                answer = await self._transport.request(
                    "POST",
                    self._url,
                    headers=self._headers,
                    body=body,
                )
                if answer.status not in _AGAIN:
                    return answer
                why, pause = str(answer.status), float(answer.headers.get("retry-after", "1"))
            except TransportFault as fault:
                why, pause = fault.kind, 0.5
            if waited >= self._patience_s:
                msg = f"{self._url} did not accept for {waited:.0f} s ({why})"
                raise ConnectionError(msg)
            self._on_wait(why)
            waited += pause
            await asyncio.sleep(pause)

    def _count(self, answer: Answer) -> None:
        for result in msgspec.json.decode(answer.body)["results"]:
            self.report.notifications += len(result["notifications"])
            if result["duplicate"]:
                self.report.duplicate += 1
            else:
                self.report.accepted += 1

    def _without_refused(
        self,
        lines: list[tuple[int, bytes]],
        answer: Answer,
    ) -> list[tuple[int, bytes]]:
        try:
            problem: dict[str, Any] = msgspec.json.decode(answer.body)
        except msgspec.DecodeError:
            problem = {}
        reasons: dict[int, str] = {}
        for error in problem.get("errors", []):
            if "index" in error:
                reason = f"{error['path']}: got {error['got']}; accepted: {error['accepted']}"
                reasons.setdefault(error["index"], reason)
        if not reasons:
            if len(lines) == 1:
                reasons = {0: problem.get("detail", f"HTTP {answer.status}")}
            else:
                msg = problem.get("detail", f"HTTP {answer.status}")
                raise PermissionError(msg)
        for index, reason in sorted(reasons.items()):
            self.report.refused.append(Refused(lines[index][0], reason))
        return [line for index, line in enumerate(lines) if index not in reasons]


async def post_all(
    batches: AsyncIterator[list[tuple[int, bytes]]],
    sender: Sender,
    *,
    on_batch: Callable[[int], None],
) -> None:
    """Post all batches, a few at a time."""
    slots = asyncio.Semaphore(_AT_ONCE)

    async def one(batch: list[tuple[int, bytes]]) -> None:
        try:
            await sender.post(batch)
            on_batch(len(batch))
        finally:
            slots.release()

    async with asyncio.TaskGroup() as group:
        async for batch in batches:
            await slots.acquire()
            group.create_task(one(batch))


async def batches_of(lines: Iterable[bytes]) -> AsyncIterator[list[tuple[int, bytes]]]:
    """Numbered lines in batches; empty lines are passed over."""
    batch: list[tuple[int, bytes]] = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            batch.append((number, line.strip()))
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def send(
    file: Annotated[str, typer.Argument(help="NDJSON, one CloudEvent a line; - reads stdin.")],
    url: Annotated[str | None, typer.Option(help="The gateway; or PRUUF_URL.")] = None,
    key: Annotated[str | None, typer.Option(help="API key; or PRUUF_API_KEY.")] = None,
    patience_s: Annotated[float, typer.Option(help="How long a gateway may be away.")] = 60.0,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,  # noqa: FBT002
) -> None:
    """Post events from NDJSON; safe to run again, as what was accepted is recognised."""
    target = url or os.environ.get("PRUUF_URL") or "http://127.0.0.1:8080"
    secret = key or os.environ.get("PRUUF_API_KEY")
    if not secret:
        remedy = "Make one: pruuf key create NAME --scope events; give it by --key or PRUUF_API_KEY."
        fail(Exit.WRONG_USE, "an API key is needed", remedy=remedy)
    try:
        report = asyncio.run(_send(file, target, secret, patience_s))
    except FileNotFoundError:
        fail(Exit.WRONG_USE, f"there is no file {file}")
    except BaseExceptionGroup as group:
        first = group.exceptions[0]
        unreachable = isinstance(first, ConnectionError)
        fail(
            Exit.UNREACHABLE if unreachable else Exit.BAD_NEWS,
            str(first),
            remedy="What was accepted stays accepted: run the same command again.",
        )
    if as_json:
        out.print_json(msgspec.json.encode(report).decode())
    else:
        out.print(
            f"{report.accepted} accepted, {report.duplicate} were there already, "
            f"{len(report.refused)} refused; {report.notifications} notifications",
        )
        for refused in report.refused[:_SHOWN]:
            err.print(f"  line {refused.line}: {refused.reason}", markup=False)
    if report.refused:
        raise typer.Exit(Exit.BAD_NEWS)


async def _send(file: str, url: str, key: str, patience_s: float) -> Report:
    lines: Iterable[bytes]
    total = None
    if file == "-":
        lines = sys.stdin.buffer
    else:
        content = await asyncio.to_thread(Path(file).read_bytes)
        lines = content.splitlines()
        total = sum(1 for line in lines if line.strip())
    progress = Progress(
        TextColumn("posting"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
        console=err,
        disable=not err.is_terminal,
    )
    async with PooledTransport(total_timeout_s=_TIMEOUT_S) as transport:
        with progress:
            task = progress.add_task("posting", total=total, note="")
            sender = Sender(
                url=url,
                key=key,
                transport=transport,
                patience_s=patience_s,
                on_wait=lambda why: progress.update(task, note=f"waiting ({why})"),
            )
            await post_all(
                batches_of(lines),
                sender,
                on_batch=lambda n: progress.update(task, advance=n, note=""),
            )
    return sender.report
