"""Plays the story against a gateway, and waits until every notification has its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import msgspec
import psycopg

from gateway.cli.lines import Line
from gateway.cli.progress import Progress
from gateway.cli.ready import StackError, get
from gateway.cli.sending import TIMEOUT_S, Sender
from gateway.demo.report import Result, collect, still_open
from gateway.demo.stack import Addresses
from gateway.demo.story import Happening, Person, Story
from outbox.providers.transport import PooledTransport

_FINISH_S = 180.0
_AT_ONCE = 20
_PER_S = 400
"""Events posted per second, so that the table shows how fast a first try is, not how long a
queue is that was made at one blow."""
_LOOK_S = 0.25


async def play(
    at: Addresses,
    *,
    database_url: str,
    key: str,
    began: float,
    say: Callable[[str], None],
) -> Result:
    """Post a day's events and see what becomes of them; ``began`` is a monotonic time."""
    story = Story(f"{int(time.time()):x}")
    since = datetime.now(UTC)
    async with PooledTransport(total_timeout_s=TIMEOUT_S) as transport:
        sender = Sender(url=at.gateway, key=key, transport=transport, patience_s=30, on_wait=say)
        happenings: list[Happening] = []
        registered: set[str] = set()

        async def register() -> None:
            for person in story.people:
                if person.device is not None and person.id not in registered:
                    registered.add(person.id)
                    await _register(person, transport, at.gateway, key)

        for title, happening in story.scenes():
            await register()
            await sender.post(_lines([happening]))
            say(title)
            happenings.append(happening)
        batch = story.batch()
        await register()
        await _post(batch, sender)
        happenings += batch
    if sender.report.refused:
        refused = sender.report.refused[0]
        msg = f"the gateway refused an event of the story: {refused.reason}"
        raise StackError(msg)
    await _until_final(database_url, story.source, len(happenings))
    ledger_url = f"{at.simulators}/_sim/ledger?since={since:%Y-%m-%dT%H:%M:%SZ}"
    ledger = await asyncio.to_thread(get, ledger_url)
    with psycopg.connect(database_url, autocommit=True) as database:
        return collect(
            database,
            source=story.source,
            happenings=happenings,
            people=story.people,
            ledger=ledger,
            seconds=time.monotonic() - began,
            addresses=at,
        )


def _lines(happenings: Sequence[Happening]) -> list[Line]:
    return [Line(n, msgspec.json.encode(each.event)) for n, each in enumerate(happenings, 1)]


async def _post(batch: Sequence[Happening], sender: Sender) -> None:
    began, lines = time.monotonic(), _lines(batch)
    with Progress(f"posting {len(batch):,} more events", total=len(batch)) as progress:
        for start in range(0, len(lines), _AT_ONCE):
            some = lines[start : start + _AT_ONCE]
            await asyncio.sleep(max(0.0, began + start / _PER_S - time.monotonic()))
            await sender.post(some)
            progress.advance(len(some))


async def _register(person: Person, transport: PooledTransport, gateway: str, key: str) -> None:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    path = f"{gateway}/v1/recipients/{person.id}"
    who = {"name": person.name, "phone": person.phone}
    device = {"token": person.device, "address_kind": "fid", "platform": "ios"}
    for url, value in ((path, who), (f"{path}/devices/phone", device)):
        body = msgspec.json.encode(value)
        answer = await transport.request("PUT", url, headers=headers, body=body)
        if answer.status >= 300:  # noqa: PLR2004 - not a success
            msg = f"PUT {url} gave {answer.status}: {answer.body.decode(errors='replace')}"
            raise StackError(msg)


async def _until_final(url: str, source: str, total: int) -> None:
    until = time.monotonic() + _FINISH_S
    title = "delivering (a receipt has 60 s to come)"
    with (
        psycopg.connect(url, autocommit=True) as database,
        Progress(title, total=total) as progress,
    ):
        while time.monotonic() < until:
            left = still_open(database, source)
            progress.reach(max(0, total - left))
            if left == 0:
                return
            await asyncio.sleep(_LOOK_S)
