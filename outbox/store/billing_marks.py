"""Small notes of Stripe's events: whose they are, that they were heard, what they add to a row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

from outbox.domain.billing_objects import Customer, account_of, name_of
from outbox.domain.billing_webhooks import Event
from outbox.domain.ids import SHARDS
from outbox.store import billing_owners as owners
from outbox.store.billing_objects import SETTLED
from outbox.store.billing_owners import Find, Owner
from outbox.store.billing_unowned import Unowned
from outbox.store.connect import Connection
from outbox.store.sql import rows, statement

_OF_NOBODY = ":nobody"


class Made(Struct, frozen=True):
    """What became of an event."""

    result: str
    note: str | None = None
    commands: bool = False
    """There is something to carry out now."""


async def owner(connection: Connection, event: Event) -> Owner | None:
    """Whose it is: by our id in its metadata, its customer, or what it is about."""
    for name, find in _ways(event):
        found = await find(connection, name)
        if found is not None:
            return found
    return None


def names(event: Event) -> list[str]:
    """By which its owner may become known."""
    return sorted({name for name, _ in _ways(event)})


def _ways(event: Event) -> list[tuple[str, Find]]:
    account = account_of(event.object)
    if account is not None:
        # Its own word: whatever else it names, it is nobody else's.
        return [(account, owners.owner_of_account)]
    by: Sequence[tuple[str | None, Find]] = (
        (event.customer, owners.owner_of_customer),
        (name_of(event.object.get("invoice")), owners.owner_of_invoice),
        (name_of(event.object.get("payment_intent")), owners.owner_of_intent),
        (event.about, owners.owner_of_method),
        (event.about, owners.owner_of_reversal),
        (event.about if event.thin else None, owners.owner_of_subscription),
    )
    return [(name, find) for name, find in by if name]


class Batch:
    """What the webhooks of one transaction share, so that it is read and written once."""

    def __init__(self, known: Iterable[tuple[int, str]]) -> None:
        """``known``: shards and ids of events that were applied before."""
        self._known = set(known)
        self._accounts: dict[str, Owner] = {}
        self._owners: dict[str, Owner] = {}
        self.locked: set[Owner] = set()
        self.heard: list[tuple[Owner, Event, Made]] = []
        self.unowned: list[Unowned] = []
        """Kept until somebody's account is known."""

    def is_known(self, owner: Owner, event: Event) -> bool:
        """Whether an event was applied before, to this owner."""
        return (owner[0], _key(owner, event)) in self._known

    def remember(self, owner: Owner, event: Event, made: Made) -> None:
        """Keep an event and what was made of it; written with all others."""
        self._known.add((owner[0], _key(owner, event)))
        self.heard.append((owner, event, made))

    async def owner(self, connection: Connection, event: Event) -> Owner | None:
        """Whose an event is; what is somebody's stays so."""
        account = account_of(event.object)
        found = self._owners.get(event.id) or self._accounts.get(account or "")
        if found is None:
            found = await owner(connection, event)
        if found is not None:
            self._owners[event.id] = found
            if account is not None:
                self._accounts[account] = found
        return found

    async def owners(self, connection: Connection, events: Iterable[Event]) -> set[Owner]:
        """Who is to be locked for these events, as far as it is known before the first is applied.

        One that is known only by another one of them is locked later.
        """
        found = {event.id: await self.owner(connection, event) for event in events}
        return {
            each
            for event in events
            if (each := found[event.id]) is not None and not self.is_known(each, event)
        }


def _key(owner: Owner, event: Event) -> str:
    """Under which it is kept: what was nobody's is kept once more when it is somebody's."""
    return event.id if owner[1] else f"{event.id}{_OF_NOBODY}"


async def begin(connection: Connection, events: Sequence[Event]) -> Batch:
    """For these events, whose rows in the inbox the open transaction has locked."""
    cursor = await connection.execute(
        "SELECT shard, source_id FROM billing_event WHERE shard = ANY(%s) AND source = 'stripe'"
        " AND source_id = ANY(%s)",
        (
            list(range(SHARDS)),
            [key for event in events for key in (event.id, f"{event.id}{_OF_NOBODY}")],
        ),
    )
    return Batch(await cursor.fetchall())


async def remember(connection: Connection, heard: Sequence[tuple[Owner, Event, Made]]) -> None:
    """Keep events and what was made of them, for ever."""
    values = [
        {
            "shard": of[0],
            "source": "stripe",
            "source_id": _key(of, event),
            "account": of[1],
            "type": event.type[:100],
            "at": event.at,
            "by": "stripe",
            "why": made.note or event.type[:100],
            "result": made.result,
            "object": event.about or None,
            "command": None,
            "notification": None,
        }
        for of, event, made in heard
    ]
    if values:
        await connection.execute(statement("billing_facts"), {"rows": rows(values)})


async def is_its_customer(connection: Connection, owner: Owner, told: Customer) -> bool:
    """Whether an account has this customer, or none that still is there."""
    cursor = await connection.execute(
        "SELECT customer IS NULL OR customer = %s OR customer_gone_at IS NOT NULL FROM account"
        " WHERE shard = %s AND id = %s",
        (told.id, *owner),
    )
    row = await cursor.fetchone()
    return bool(row and row[0])


async def failed(connection: Connection, owner: Owner, event: Event) -> None:
    """Since when an invoice is unpaid: the earliest failure that was told."""
    await connection.execute(
        "UPDATE invoice SET failed_at = least(failed_at, %s) WHERE shard = %s AND id = %s",
        (event.at, owner[0], event.about),
    )


async def mark(
    connection: Connection,
    owner: Owner,
    invoice: str,
    column: str,
    value: str,
) -> bool:
    """Note something of an invoice that it does not tell itself; false where it is not known.

    What somebody would have to do about it is noted only while somebody has to.
    """
    settled = list(SETTLED) if column in {"decline", "action"} else []
    cursor = await connection.execute(
        f"UPDATE invoice SET {column} = CASE WHEN status = ANY(%s) THEN {column} ELSE %s END"  # noqa: S608 - fixed
        " WHERE shard = %s AND id = %s",
        (settled, value, owner[0], invoice),
    )
    return cursor.rowcount > 0
