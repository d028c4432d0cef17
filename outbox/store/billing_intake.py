"""Facts of accounts, written with the events that tell them: the account's row serialises its life.

Commands get their place in its order here, under the row's lock: ids alone have no order between
machines.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import msgspec
from msgspec.structs import replace

from outbox.domain.billing_facts import Fact, Known, Role, Wish, after
from outbox.domain.intake import NewEvent
from outbox.store.connect import Connection
from outbox.store.sql import rows, statement

Key = tuple[int, str]
"""Shard and id of an account."""

_KNOWN = ", ".join(Known.__struct_fields__)


async def record(connection: Connection, events: Sequence[NewEvent]) -> None:
    """Fold the facts of new events into their accounts, in the open transaction."""
    told = [(event, event.fact) for event in events if isinstance(event.fact, Fact)]
    if not told:
        return
    keys = sorted({(event.shard, fact.account) for event, fact in told})
    accounts, now = await lock(connection, keys)
    places = {key: commands for key, (_, commands) in accounts.items()}
    known = {key: each for key, (each, _) in accounts.items()}
    facts: list[dict[str, object]] = []
    for event, fact in told:
        key = (event.shard, fact.account)
        # What is ahead of its time is judged by the database's clock.
        heard = replace(fact, at=min(fact.at.astimezone(UTC), now))
        known[key] = after(known[key], heard)
        command = event.notifications[0].id if event.notifications else None
        places[key] += command is not None
        facts.append(
            {
                "shard": event.shard,
                "source": "backend",
                "source_id": str(event.id),
                "account": fact.account,
                "type": fact.type,
                "at": heard.at,
                "by": fact.by,
                "why": fact.why,
                "result": "recorded",
                # Which role or wish it was: the account follows from that, as the audit proves.
                "object": fact.role or fact.wish,
                "command": places[key] if command is not None else None,
                "notification": command,
            },
        )
    await save(connection, known, places)
    await connection.execute(statement("billing_facts"), {"rows": rows(facts)})


async def lock(
    connection: Connection,
    keys: Sequence[Key],
) -> tuple[dict[Key, tuple[Known, int]], datetime]:
    """Lock, and make if need be, the rows of these accounts, in order; and the present.

    With each how many commands it had.
    """
    wanted = [{"shard": shard, "id": account} for shard, account in sorted(keys)]
    cursor = await connection.execute(statement("billing_lock"), {"rows": rows(wanted)})
    found: dict[Key, tuple[Known, int]] = {}
    now = datetime.now(UTC)
    for row in await cursor.fetchall():
        now = row[-1]
        found[row[0], row[1]] = (known_of(row[3:-1]), row[2])
    return found, now


def known_of(row: Sequence[object]) -> Known:
    """What is known, from the columns of `Known` in their order."""
    values = dict(zip(Known.__struct_fields__, row, strict=True))
    role, email = values["role"], values["email"]
    values["role"] = None if role is None else Role(str(role))
    values["wish"] = Wish(str(values["wish"]))
    values["email"] = None if email is None else bytes(email)  # type: ignore[call-overload]
    return Known(**values)  # type: ignore[arg-type]


async def save(
    connection: Connection,
    known: dict[Key, Known],
    places: dict[Key, int],
) -> None:
    """Write what is known of accounts whose rows are locked."""
    values = [
        {
            "shard": shard,
            "id": account,
            **msgspec.structs.asdict(each),
            "email": None if each.email is None else base64.b64encode(each.email).decode(),
            "commands": places[shard, account],
        }
        for (shard, account), each in sorted(known.items())
    ]
    await connection.execute(statement("billing_save"), {"rows": rows(values)})


async def next_place(connection: Connection, shard: int, account: str) -> int:
    """The place of one more command of an account, whose row this locks."""
    cursor = await connection.execute(
        "UPDATE account SET commands = commands + 1 WHERE shard = %s AND id = %s"
        " RETURNING commands",
        (shard, account),
    )
    row = await cursor.fetchone()
    return 0 if row is None else int(row[0])


async def earlier(connection: Connection, shard: int, notification: UUID) -> bool:
    """Whether a command before this one, of the same account, may still do something."""
    cursor = await connection.execute(
        statement("billing_earlier"), {"shard": shard, "notification": notification}
    )
    row = await cursor.fetchone()
    return bool(row and row[0])
