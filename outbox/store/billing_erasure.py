"""What goes of an account with the person: its address. What was charged, and why, is kept."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from outbox.domain.ids import shard_of


async def forget_email(connection: AsyncConnection, account: str) -> None:
    """Forget an account's e-mail address; older events that come again do not bring it back."""
    await connection.execute(
        text("UPDATE account SET email = NULL WHERE shard = :shard AND id = :id"),
        {"shard": shard_of(account), "id": account},
    )
