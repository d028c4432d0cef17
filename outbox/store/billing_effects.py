"""What Stripe's events do to accounts: each in one transaction with its mark in the inbox.

Whatever the order and however often they come, the rows are the same in the end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet

from msgspec.structs import replace

from outbox.domain import billing_facts as facts
from outbox.domain.billing_apply import Seen, Verdict, judge
from outbox.domain.billing_facts import Fact, Wish, after
from outbox.domain.billing_objects import (
    Customer,
    Kept,
    PaymentMethod,
    Reversal,
    Subscription,
    account_of,
    name_of,
)
from outbox.domain.billing_reading import MalformedObjectError, read
from outbox.domain.billing_status import TERMINAL
from outbox.domain.billing_webhooks import Effect, Event, row_of
from outbox.domain.intake import NewEvent
from outbox.store import billing_marks as marks
from outbox.store import billing_objects, billing_unowned, notices
from outbox.store.billing_intake import lock, next_place, save
from outbox.store.billing_marks import Batch, Made
from outbox.store.billing_owners import Owner
from outbox.store.connect import Connection
from outbox.store.sql import rows, statement

_OF_NOBODY = "of no account that is known"
_SAYS_ITS_ACCOUNT = frozenset({"subscription", "customer", "invoice"})
"""Ours carry our id: those that do not are somebody else's."""

Draft = Callable[[str, str, str | None], NewEvent]
"""Makes an event of our own with one command: kind, subject, what it is about."""
Page = Callable[[str, str], NewEvent]
"""Makes a page for the operator: summary and reason."""


class OutOfOrderError(Exception):
    """An account became known that should have been locked before others that are locked now."""

    def __init__(self, owner: Owner) -> None:
        """To be locked with the others by a second try."""
        super().__init__()
        self.owner = owner


class Effects:
    """Applies events; holds no state but how commands and pages are made."""

    def __init__(self, *, draft: Draft, page: Page) -> None:
        """``draft`` and ``page`` seal what they make."""
        self._draft = draft
        self._page = page

    async def begin(
        self,
        connection: Connection,
        events: Sequence[Event],
        also: AbstractSet[Owner] = frozenset(),
    ) -> Batch:
        """For these events, whose rows in the inbox the open transaction has locked.

        Locks their accounts, and ``also`` these, all at once and in the order of everybody who
        locks several.
        """
        batch = await marks.begin(connection, events)
        batch.locked |= also | await batch.owners(connection, events)
        if batch.locked:
            await lock(connection, sorted(batch.locked))
        return batch

    async def apply(self, connection: Connection, shard: int, event: Event, batch: Batch) -> Made:
        """Apply one event of one shard's inbox in the open transaction, as one of a batch.

        Raises `OutOfOrderError` where others made known meanwhile whose it is, and to wait for its
        account would be to wait for somebody who waits for us.
        """
        row = row_of(event.type)
        effect = Effect.LOOK if event.thin else Effect.KEEP if row is None else row.effect
        owner = await batch.owner(connection, event)
        if owner is None:
            return await self._of_nobody(connection, (shard, ""), event, effect, batch)
        if batch.is_known(owner, event):
            return Made("stale", "told before")
        if owner not in batch.locked:
            if owner < max(batch.locked, default=owner):
                raise OutOfOrderError(owner)
            await lock(connection, [owner])
            batch.locked.add(owner)
        made = await self._apply(connection, owner, event, effect)
        batch.remember(owner, event, made)
        return made

    async def _of_nobody(
        self, connection: Connection, nobody: Owner, event: Event, effect: Effect, batch: Batch
    ) -> Made:
        """Of no account that is known: kept until one is.

        Asked for, once, where it may be ours all the same.
        """
        handled = effect not in {Effect.KEEP, Effect.RECORD, Effect.SESSION}
        if handled:
            batch.unowned.append((event.id, marks.names(event)))
        if batch.is_known(nobody, event):
            return Made("stale", _OF_NOBODY)
        says = event.object.get("object") in _SAYS_ITS_ACCOUNT or account_of(event.object)
        # How an invoice was paid is seen at the invoice.
        about = name_of(event.object.get("invoice")) if effect is Effect.PAYMENT else event.about
        asks = handled and bool(about) and (event.thin or not says)
        if asks and about:
            await self._look(connection, None, about)
        made = Made("asked" if asks else "unknown", _OF_NOBODY, commands=asks)
        batch.remember(nobody, event, made)
        return made

    async def _apply(  # noqa: PLR0911 - one return for each effect
        self,
        connection: Connection,
        owner: Owner,
        event: Event,
        effect: Effect,
    ) -> Made:
        if effect in {Effect.KEEP, Effect.RECORD, Effect.SESSION}:
            return Made("kept")
        if effect is Effect.LOOK:
            await self._look(connection, owner, event.about)
            return Made("asked", commands=True)
        if effect is Effect.PAYMENT:
            return await self._settled_by(connection, owner, event)
        if effect is Effect.CARD_SAVED:
            return await self._card_saved(connection, owner, event)
        try:
            told = read(event.object)
        except MalformedObjectError as error:
            await self._look(connection, owner, event.about)
            return Made("asked", str(error), commands=True)
        if told is None:
            return Made("kept")
        if effect is Effect.CUSTOMER_GONE and isinstance(told, Customer):
            told = replace(told, deleted=True, default_method=None, credit=0)
        made = await self._object(connection, owner, event, told)
        more = await self._more(connection, owner, event, effect, told)
        return replace(made, commands=made.commands or more)

    async def _object(
        self,
        connection: Connection,
        owner: Owner,
        event: Event,
        told: Kept,
    ) -> Made:
        shard, account = owner
        row = await billing_objects.find(connection, shard, account, type(told), told.id)
        before, seen = (None, Seen()) if row is None else (row.kept, row.seen)
        if isinstance(told, Customer) and not await marks.is_its_customer(connection, owner, told):
            return Made("stale", "an older customer of the account")
        verdict = judge(before, seen, told, event=event.id, at=event.at)
        if verdict is Verdict.APPLY:
            seen = seen.with_event(event.id, event.at)
            await billing_objects.save(connection, shard, account, told, seen)
            if before is None:
                await billing_unowned.reopen(connection, (told.id, account))
        elif verdict is Verdict.ASK and before is not None:
            seen = seen.asking(event.id, event.at)
            await billing_objects.save(connection, shard, account, before, seen)
            await self._look(connection, owner, told.id)
        note = "a state that this version does not know" if verdict is Verdict.UNKNOWN else None
        return Made(str(verdict), note, commands=verdict is Verdict.ASK)

    async def _more(  # noqa: PLR0911 - one return for each effect
        self,
        connection: Connection,
        owner: Owner,
        event: Event,
        effect: Effect,
        told: Kept,
    ) -> bool:
        """What an event does beyond its object; whether there are commands."""
        match effect:
            case Effect.PAYMENT_FAILED:
                await marks.failed(connection, owner, event)
                await self._look(connection, owner, told.id)
                return True
            case Effect.CONFIRM:
                await marks.mark(connection, owner, told.id, "action", "confirm")
                return False
            case Effect.INVOICE_FAULT:
                error = event.object.get("last_finalization_error") or {}
                code = str(error.get("code") or "unknown")
                await marks.mark(connection, owner, told.id, "fault", code)
                return await self._tell(connection, owner, "invoice_fault", f"{told.id} ({code})")
            case Effect.RENEWED if isinstance(told, PaymentMethod):
                await connection.execute(
                    "UPDATE payment_method SET renewed_at = %s WHERE shard = %s AND id = %s",
                    (event.at, owner[0], told.id),
                )
                return False
            case Effect.CUSTOMER_GONE:
                return await self._look_at_all(connection, owner)
            case Effect.DISPUTE_CLOSED if isinstance(told, Reversal) and told.status == "lost":
                return await self._lost(connection, owner, event)
            case Effect.DISPUTE | Effect.WARNING | Effect.REFUND_FAILED:
                return await self._tell(connection, owner, str(effect), told.id)
            case _:
                return False

    async def _look(self, connection: Connection, owner: Owner | None, name: str) -> None:
        """Ask Stripe how an object is; of an account's own order this is no part."""
        subject = name if owner is None else owner[1]
        await notices.insert(connection, self._draft(facts.LOOK, subject, name))

    async def _look_at_all(self, connection: Connection, owner: Owner) -> bool:
        known = await billing_objects.all_of(connection, *owner, Subscription)
        live = [
            row.kept
            for row in known
            if isinstance(row.kept, Subscription) and row.kept.status not in TERMINAL
        ]
        for one in live:
            await self._look(connection, owner, one.id)
        return bool(live)

    async def _tell(self, connection: Connection, owner: Owner, why: str, what: str) -> bool:
        """The operator is told; once for each object."""
        summary = f"Billing: {why.replace('_', ' ')} of account {owner[1]}: {what}"
        return await notices.tell(connection, f"billing:{why}:{what}", self._page(summary, why))

    async def _command(
        self,
        connection: Connection,
        owner: Owner,
        kind: str,
        event: Event,
        about: str | None,
    ) -> bool:
        """A command in the account's order, because of an event."""
        made = self._draft(kind, owner[1], about)
        await notices.insert(connection, made)
        row = {
            "shard": owner[0],
            "source": "pruuf",
            "source_id": str(made.id),
            "account": owner[1],
            "type": kind,
            "at": event.at,
            "by": "stripe",
            "why": f"{event.type} {event.id}",
            "result": "recorded",
            "object": about,
            "command": await next_place(connection, *owner),
            "notification": made.notifications[0].id,
        }
        await connection.execute(statement("billing_facts"), {"rows": rows([row])})
        return True

    async def _settled_by(self, connection: Connection, owner: Owner, event: Event) -> Made:
        """Which payment settled an invoice, which may not have been told of yet."""
        invoice = name_of(event.object.get("invoice"))
        payment = event.object.get("payment")
        intent = name_of(payment.get("payment_intent")) if isinstance(payment, dict) else None
        if invoice is None or intent is None:
            return Made("kept", "no invoice or no payment in it")
        if await marks.mark(connection, owner, invoice, "intent", intent):
            await billing_unowned.reopen(connection, (intent,))
            return Made("applied")
        await self._look(connection, owner, invoice)
        return Made("asked", commands=True)

    async def _card_saved(self, connection: Connection, owner: Owner, event: Event) -> Made:
        method = name_of(event.object.get("payment_method"))
        if method is None:
            return Made("kept", "no payment method in it")
        await self._command(connection, owner, facts.CARD_SAVED, event, method)
        return Made("applied", commands=True)

    async def _lost(self, connection: Connection, owner: Owner, event: Event) -> bool:
        """A lost dispute ends the subscription, unless somebody has asked for it since."""
        accounts, now = await lock(connection, [owner])
        known, places = accounts[owner]
        fact = Fact(
            account=owner[1],
            type=facts.DISPUTE_LOST,
            at=min(event.at, now),
            by="stripe",
            why=f"{event.type} {event.id}",
            wish=Wish.ENDED,
        )
        await save(connection, {owner: after(known, fact)}, {owner: places})
        await self._tell(connection, owner, "dispute_lost", event.about)
        return await self._command(connection, owner, facts.DISPUTE_LOST, event, event.about)
