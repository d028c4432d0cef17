"""A duty takes its turns, gives its connection back between, and ends when it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import cast

import pytest

from outbox.relay.database import Session
from outbox.relay.duty import Duty


class _Session:
    """Counts what is given back."""

    released = 0

    async def release(self) -> None:
        self.released += 1


class _Duty(Duty):
    """Has so much to do in each round of turns, and ends itself at the end of the last one."""

    def __init__(self, session: _Session, more: Iterator[bool], *, every_s: float) -> None:
        super().__init__(cast("Session", session))
        self.every_s = every_s
        self.rests: list[float] = []
        self.turns = 0
        self._more = more

    async def turn(self) -> bool:
        self.turns += 1
        return next(self._more)

    async def rest(self, pause_s: float) -> bool:
        self.rests.append(pause_s)
        return self.turns == 4


async def _run(more: tuple[bool, ...], *, every_s: float) -> tuple[_Duty, _Session]:
    session = _Session()
    duty = _Duty(session, iter(more), every_s=every_s)
    await duty.run()
    return duty, session


async def test_what_has_more_to_do_goes_on_without_a_pause_and_keeps_its_connection() -> None:
    duty, session = await _run((True, True, False, False), every_s=60.0)
    assert duty.rests[:3] == [0.0, 0.0, 0.0]
    assert all(45.0 <= pause <= 75.0 for pause in duty.rests[3:])
    assert session.released == 2


async def test_who_looks_all_the_time_keeps_the_connection() -> None:
    _, session = await _run((False,) * 4, every_s=5.0)
    assert session.released == 0


@pytest.mark.parametrize("waits", [True, False])
async def test_it_ends_when_it_is_told_to(waits: bool) -> None:
    began = asyncio.Event()

    class _Endless(Duty):
        every_s = 3600.0

        async def turn(self) -> bool:
            began.set()
            await asyncio.sleep(0)
            return not waits

    duty = _Endless(cast("Session", _Session()))
    running = asyncio.create_task(duty.run())
    await began.wait()
    duty.stop()
    await asyncio.wait_for(running, 5)
    assert await duty.rest(0.0)
