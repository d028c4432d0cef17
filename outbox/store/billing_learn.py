"""What a command learned at Stripe, written with its settle."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from msgspec import Struct

from outbox.domain.billing_objects import Kept
from outbox.domain.ids import SHARDS
from outbox.domain.intake import NewEvent
from outbox.store import notices
from outbox.store.billing_intake import lock
from outbox.store.billing_marks import mark
from outbox.store.billing_objects import learn
from outbox.store.billing_owners import owner_of_account
from outbox.store.billing_unowned import reopen
from outbox.store.connect import Connection


class Learned(Struct, frozen=True, kw_only=True):
    """Objects of one account, as Stripe answered them."""

    shard: int
    account: str
    as_of: Mapping[str, datetime]
    """When each object that was known had changed, before Stripe was asked."""
    seen: tuple[Kept, ...] = ()
    """It was only asked for these."""
    changed: tuple[Kept, ...] = ()
    """The command changed these."""
    declines: Mapping[str, str] = {}
    """By invoice: why its newest payment failed."""
    intents: Mapping[str, str] = {}
    """By invoice: the payment that settled it."""
    about: str | None = None
    """What was looked at because of an event, which may wait for its account."""
    again: Callable[[str], NewEvent] | None = None
    """A look at an object: ordered where it has changed while Stripe was asked, and differs."""

    @property
    def place(self) -> tuple[int, str]:
        """The account's."""
        return (self.shard, self.account)

    async def hold(self, connection: Connection) -> None:
        """Lock the account, if it is there: a lock would make it."""
        if await owner_of_account(connection, self.account) is not None:
            await lock(connection, [self.place])

    async def write(self, connection: Connection) -> None:
        """Write in the open transaction; it may be run again."""
        if await owner_of_account(connection, self.account) is None:
            # Another installation's, by its metadata: of whom nothing was told, nothing is kept.
            return
        # In the order in which they were answered: what a command changed was looked at before.
        newest = {each.id: each for each in (*self.seen, *self.changed)}
        for kept in newest.values():
            learned = await learn(
                connection,
                self.shard,
                self.account,
                kept,
                as_of=self.as_of.get(kept.id),
            )
            if not learned and self.again is not None:
                await notices.insert(connection, self.again(kept.id))
        for column, told in (("decline", self.declines), ("intent", self.intents)):
            for invoice, value in told.items():
                await mark(connection, self.place, invoice, column, value)
        await reopen(connection, {*self.intents.values(), *([self.about] if self.about else [])})


class OfNobody(Struct, frozen=True):
    """An object that is of no account, by Stripe's word."""

    about: str

    @property
    def place(self) -> tuple[int, str]:
        """Nobody's: it comes behind all that lock an account."""
        return (SHARDS, self.about)

    async def hold(self, connection: Connection) -> None:
        """There is nothing to lock."""

    async def write(self, connection: Connection) -> None:
        """An event may have told whose it is while Stripe was asked."""
        await reopen(connection, (self.about,))
