"""Moves time: does what is due, in its order, on the account's clock and on test clocks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from outbox.simulators.stripe import (
    collection,
    invoices,
    lives,
    pages,
    refunds,
    states,
    test_clocks,
)
from outbox.simulators.stripe.clocks import Clock
from outbox.simulators.stripe.store import Object
from outbox.simulators.stripe.world import World

_SLICE = 50
"""So much is done before others are let in."""
_COMMIT_EVERY = 40
_SHORTEST_S = 0.05
_LONGEST_S = 3600.0

_ACTS: dict[str, Callable[[World, Object], None]] = {
    "subscription": lives.step,
    "invoice": collection.step,
    "checkout.session": pages.expire,
    "refund": refunds.step,
}


class Clockwork:
    """What lets time pass."""

    def __init__(self, world: World) -> None:
        """Everything that waits in the store is due again."""
        self._world = world
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._moving = asyncio.Lock()
        for subscription in world.store.all("subscription").values():
            states.schedule(world, subscription)
        for invoice in world.store.all("invoice").values():
            invoices.schedule(world, invoice)
        for session in world.store.all("checkout.session").values():
            pages.schedule(world, session)
        for refund in world.store.all("refund").values():
            refunds.schedule(world, refund)
        for clock in world.store.all(test_clocks.KIND).values():
            if clock["status"] == "advancing":
                world.advancing.append(clock["id"])

    def wake(self) -> None:
        """Something may have become due, or a test clock is to advance."""
        for name in self._world.advancing:
            task = asyncio.create_task(self._advance(name))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._world.advancing.clear()
        account = self._world.clocks.account
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        at = account.next_at()
        if at is not None and account.frozen is None:
            wait = min(max(at - time.time() - account.offset, _SHORTEST_S), _LONGEST_S)
            self._timer = asyncio.get_running_loop().call_later(wait, self._tick)
        self._world.webhooks.pump()

    async def move(self, to: int, *, frozen: bool) -> int:
        """Put the account's clock at a time, after all that is due by then; says how much was."""
        async with self._moving:
            account = self._world.clocks.account
            done = await self._run(account, to)
            self._world.clocks.move(max(to, account.now()), frozen=frozen)
            await self._world.store.commit()
        self.wake()
        return done

    async def close(self) -> None:
        """Let no more time pass."""
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _tick(self) -> None:
        self._timer = None
        account = self._world.clocks.account
        now, done = account.now(), 0
        while done < _SLICE and account.step(now, self._act):
            done += 1
        if done:
            self._world.store.soon()
        self.wake()

    async def _advance(self, name: str) -> None:
        clock: Object = self._world.store.all(test_clocks.KIND)[name]
        to = clock["status_details"]["advancing"]["target_frozen_time"]
        # Whoever asked sees that it takes a while.
        await asyncio.sleep(0)
        await self._run(self._world.clocks.of(name), to)
        test_clocks.arrived(self._world, clock, to)
        await self._world.store.commit()
        self._world.webhooks.pump()

    async def _run(self, clock: Clock, to: int) -> int:
        done = 0
        while clock.step(to, self._act):
            done += 1
            if not done % _SLICE:
                self._world.webhooks.pump()
                await asyncio.sleep(0)
                if not done % (_SLICE * _COMMIT_EVERY):
                    await self._world.store.commit()
        return done

    def _act(self, kind: str, name: str) -> None:
        found = self._world.store.get(kind, name)
        if found is not None:
            _ACTS[kind](self._world, found)
