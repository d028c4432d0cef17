"""Relays are killed and started again all the time under load: nothing is lost, texts come once."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from msgspec import Struct

from outbox.simulators import magic
from tests.faults.agreement import Books, judge
from tests.faults.conftest import Begin
from tests.faults.stack import Stack, number
from tests.faults.traffic import Accepted, backend, contact, event
from tests.faults.victims import LATE, LEASES, QUESTIONS, let_pass

_ALERTS_OF_TEN = 5


_EVENTS_PER_CYCLE = 10
_READY = b"the relay works"
_KILLED_WHILE_IT_STARTS = 0.1
"""Share of those that are not waited for: a start takes longer than some of their lives."""


class _Run(Struct, kw_only=True):
    """What is to be done, and what was."""

    cycles: int
    relays: int
    per_s: float
    life_s: tuple[float, float]
    """Of a relay. In a long run of short lives some row would die with five of them one after the
    other, and be set aside, as it should."""
    latency_ms: int
    """Of a provider: the longer, the more calls are cut off."""
    in_time: bool
    """The leases of the last ones end by themselves."""
    within_s: float
    done: int = 0
    took_s: float = 0.0
    accepted: list[Accepted] = []


def _load() -> Iterator[dict[str, Any]]:
    """Alerts and notes; some of either to landlines, so that they go by push at once."""
    n = 0
    while True:
        kind = "checkin.missed" if n % 10 < _ALERTS_OF_TEN else "checkin.confirmed"
        phone = number(n) if n % 10 % 5 else magic.number("landline", n % magic.LINES)
        yield event(kind, n, contact(n % 10 if n % 5 == 0 else f"t{n}", phone))
        n += 1


def _works(log: Path) -> bool:
    return log.exists() and _READY in log.read_bytes()


async def _live_and_die(stack: Stack, run: _Run, chance: random.Random, place: int) -> None:
    """Start a relay, kill it, and so on, until there were enough of them."""
    while run.done < run.cycles:
        name = f"relay-{place}-{run.done}"
        relay = stack.start(name, "relay")
        if chance.random() > _KILLED_WHILE_IT_STARTS:
            while not _works(stack.folder / f"{name}.log"):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.02)
        await asyncio.sleep(chance.uniform(*run.life_s))
        assert relay.poll() is None, f"{name} ended by itself with {relay.poll()}"
        await asyncio.to_thread(relay.kill)
        run.done += 1


async def _play(stack: Stack, run: _Run, chance: random.Random) -> None:
    async with backend(stack) as caller:
        await caller.devices((f"c{n}", magic.token("delivered", n)) for n in range(10))
        began = time.monotonic()
        events = _load()

        async def post() -> None:
            while run.done < run.cycles:
                assert time.monotonic() - began < run.within_s, f"{run.done} kills only"
                if len(run.accepted) >= (run.done + run.relays) * _EVENTS_PER_CYCLE:
                    # However slow the machine: nothing piles up, and there is always something
                    # left for those who are killed next.
                    await asyncio.sleep(0.05)
                    continue
                some = [next(events) for _ in range(_EVENTS_PER_CYCLE)]
                run.accepted += await caller.post_at_a_pace(some, per_s=run.per_s)

        async with asyncio.TaskGroup() as group:
            group.create_task(post())
            for place in range(run.relays):
                group.create_task(_live_and_die(stack, run, chance, place))
        run.took_s = time.monotonic() - began


_RUNS = {
    16: _Run(
        cycles=16,
        relays=4,
        per_s=40.0,
        life_s=(0.1, 0.8),
        latency_ms=200,
        in_time=False,
        within_s=240.0,
    ),
    1_000: _Run(
        cycles=1_000,
        relays=8,
        per_s=20.0,
        life_s=(0.1, 2.5),
        latency_ms=60,
        in_time=True,
        within_s=3_000.0,
    ),
}


@pytest.mark.parametrize("cycles", [16, pytest.param(1_000, marks=pytest.mark.long)])
def test_relays_are_killed_and_started_again_and_again(
    forked: Stack, scenario: Begin, chance: random.Random, cycles: int
) -> None:
    run = _RUNS[cycles]
    row = scenario(number=2, name=f"{cycles:,} kills and starts of {run.relays} relays under load")
    forked.start_edge()
    forked.faults(latency_ms=run.latency_ms)
    asyncio.run(_play(forked, run, chance))
    held = forked.query(f"SELECT count(*) FROM due WHERE {LEASES}")[0][0]
    began = time.monotonic()
    if not run.in_time:
        let_pass(forked, LEASES)
    for name in ("relay-x", "relay-y"):
        forked.start_relay(name)
    forked.wait_until_final(
        within_s=240,
        meanwhile=None if run.in_time else lambda: let_pass(forked, f"{QUESTIONS} OR {LATE}"),
    )
    row.recovered_s = time.monotonic() - began
    row.tries = run.done

    promised: dict[UUID, str] = {}
    for each in run.accepted:
        promised |= {one: recipient for recipient, one in each.notifications.items()}
    books = Books(forked)
    verdict = judge(books, promised)
    states = dict(forked.query("SELECT state, count(*) FROM notification GROUP BY 1"))
    pushes = sum(max(0, len(ids) - 1) for ids in books.pushes.values())
    cut_off = _cut_off(books)
    asked = forked.query("SELECT count(*) FROM attempt WHERE what = 'ask'")[0][0]
    row.lost = sum(books.taken(one) == 0 for one in promised)
    row.duplicated = len(verdict.twice) + pushes
    # Of a text's outcome nobody could say anything; a push was not named by the relay that made it.
    row.explained = len(verdict.twice) + min(pushes, cut_off)
    row.why = (
        f"{len(promised)} notifications, {cut_off} calls cut off by a kill, {asked} questions to"
        f" Twilio; {pushes} pushed twice under one id, as FCM cannot be asked"
    )
    print(f"\n{row.name} in {run.took_s:.0f} s, {held} leases left: {row.why}; {states}")
    for offender in verdict.offenders[:20]:
        print(f"  {offender}")
    assert verdict.offenders == []
    assert set(states) == {"delivered"}
    assert asked > 0, "no kill met a claim"


def _cut_off(books: Books) -> int:
    """Calls that a provider took, and that no relay lived to write down."""
    unnamed = 0
    for one, texts in books.texts.items():
        if one is not None:
            known = {call.fence for call in books.calls[one] if call.what == "send"}
            unnamed += sum(text.reference.fence not in known for text in texts)
    for name, ids in books.pushes.items():
        named = {call.provider_id for call in books.calls[UUID(name)]}
        unnamed += sum(each not in named for each in ids)
    return unnamed
