"""A walk through Stripe's books, page by page, beside ours; then what differs is looked at again.

What has changed within the walk is no difference: only what still differs when it is asked for by
name is one. No database connection is held while Stripe is asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from msgspec import Struct

from outbox.domain import billing_books as books
from outbox.domain.billing_books import CAUSES, Ours, Repair
from outbox.domain.billing_facts import LOOK, RECONCILED
from outbox.domain.billing_requests import Answered, BillingProvider
from outbox.domain.billing_rules import Finding
from outbox.domain.outcomes import SENT
from outbox.domain.policy import Policy
from outbox.relay.billing_applier import own_command
from outbox.relay.database import Session
from outbox.sealing import Sealer
from outbox.store import billing_books as store

KINDS = ("customers", "subscriptions")
SCHEDULE = "schedule"

_GONE = "resource_missing"


class UnreachableError(Exception):
    """Stripe did not answer; ``code`` says why."""

    def __init__(self, code: str | None) -> None:
        """``code`` of the outcome."""
        super().__init__(code)
        self.code = code


class Read(Struct, frozen=True):
    """What one page came to."""

    rows: int
    following: str | None
    """The next page begins after this; null: it was the last one."""
    others: int
    """Of no account of ours."""


class Walk:
    """One walk."""

    def __init__(  # noqa: PLR0913 - all that it needs is passed in
        self,
        *,
        session: Session,
        stripe: BillingProvider,
        price: str | None,
        name: str = SCHEDULE,
        since: datetime | None = None,
        pause_s: float = 0.0,
    ) -> None:
        """``since``: only what was made at Stripe from then on; ``pause_s`` before each call."""
        self._session = session
        self._stripe = stripe
        self._price = price
        self.name = name
        self._since = since
        self._pause_s = pause_s

    async def page(self, kind: str, after: str | None) -> Read:
        """Compare one page, and note what it has met; raises `UnreachableError`."""
        answered = await self._ask(partial(self._stripe.page_of, kind, after, self._since))
        page = answered.object or {}
        rows: list[dict[str, Any]] = list(page.get("data") or [])
        ours = await self._ours(rows)
        noted = [(str(row["id"]), bool(books.compare(row, ours))) for row in rows]
        await self._session.persist(lambda c: store.met(c, self.name, noted))
        more = bool(page.get("has_more")) and bool(rows)
        others = sum(not books.is_ours(row, ours) for row in rows)
        return Read(len(rows), noted[-1][0] if more else None, others)

    async def differences(self, *, advance: Callable[[], object] | None = None) -> list[Finding]:
        """Look again at what differed, and at what was not met; raises `UnreachableError`."""
        named = await self._session.persist(
            lambda c: store.to_look_at(c, self.name, since=self._since)
        )
        found: dict[tuple[str, str], Finding] = {}
        for name in named:
            for each in await self._look(name):
                found[each.cause, each.object] = each
            if advance is not None:
                advance()
        order = list(CAUSES)
        return sorted(found.values(), key=lambda each: (order.index(each.cause), each.object))

    async def _look(self, name: str) -> list[Finding]:
        answered = await self._ask(partial(self._stripe.fetch, name), missing=True)
        value = answered.object
        if value is None:
            ours = await self._session.persist(
                lambda c: store.ours(c, [name], [], price=self._price)
            )
            return books.missing(name, ours)
        invoice = value.get("latest_invoice")
        if value.get("object") == "subscription" and isinstance(invoice, str):
            newest = await self._ask(partial(self._stripe.fetch, invoice), missing=True)
            value = {**value, "latest_invoice": newest.object}
        return books.compare(value, await self._ours([value]))

    async def _ours(self, rows: Sequence[dict[str, Any]]) -> Ours:
        objects: set[str] = set()
        accounts: set[str] = set()
        for row in rows:
            of_row, of_accounts = books.names(row)
            objects |= of_row
            accounts |= of_accounts
        return await self._session.persist(
            lambda c: store.ours(c, objects, accounts, price=self._price)
        )

    async def _ask(self, ask: Callable[[], Any], *, missing: bool = False) -> Answered:
        if self._pause_s:
            await asyncio.sleep(self._pause_s)
        answered: Answered = await ask()
        if answered.outcome.result in SENT:
            return answered
        if missing and answered.outcome.code == _GONE:
            return answered
        raise UnreachableError(answered.outcome.code)


async def repair(session: Session, sealer: Sealer, policy: Policy, found: Sequence[Finding]) -> int:
    """Have mended what can be; how many commands and questions that made."""
    asked: set[str] = set()
    ended: set[str] = set()
    for each in found:
        account = each.account
        how = CAUSES[each.cause].repair
        if account is None or how is Repair.PERSON:
            continue
        if how is Repair.ASK and each.object not in asked:
            asked.add(each.object)
            made = own_command(sealer, policy, LOOK, account, each.object)
            await session.persist(partial(store.ask, look=made))
        elif how is Repair.END and account not in ended:
            ended.add(account)
            made = own_command(sealer, policy, RECONCILED, account, None)
            await session.persist(
                partial(store.command, account=account, made=made, why=each.cause)
            )
    return len(asked) + len(ended)
