"""What an action of a person would do: done for real, and rolled back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import UUID

from outbox.store.actions import Done
from outbox.store.connect import Connection

Act = Callable[..., Awaitable[Done | None]]
"""`cancel` or `redrive`."""


async def rehearse(connection: Connection, act: Act, notification: UUID) -> Done | None:
    """What ``act`` would come to now; nothing of it stays, and nobody hears of it."""
    async with connection.transaction(force_rollback=True):
        return await act(connection, notification, actor="rehearsal", reason="rehearsal")
