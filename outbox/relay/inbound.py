"""Applies texts from people: opt-outs, their end, and what a person has to look at."""

from __future__ import annotations

import logging
from uuid import UUID

import msgspec

from outbox.domain import inbound
from outbox.domain.ids import new_id
from outbox.domain.inbound import Inbound, Meaning
from outbox.domain.policy import Policy
from outbox.drafts import notice_draft
from outbox.relay.suppressed import Suppressed
from outbox.sealing import Sealer, UnsealError
from outbox.store import notices, suppressions
from outbox.store.connect import Connection
from outbox.store.receipts import Taken

_log = logging.getLogger(__name__)


class InboundTexts:
    """Applies them in the applier's transaction."""

    def __init__(self, *, sealer: Sealer, suppressed: Suppressed, policy: Policy) -> None:
        """``suppressed`` learns at once what this relay applies."""
        self._sealer = sealer
        self._suppressed = suppressed
        self._policy = policy

    async def apply(self, connection: Connection, taken: Taken) -> str:
        """Apply one text in the open transaction; the note that stays with it."""
        try:
            text = inbound.decode(
                self._sealer.unseal(taken.body, table="inbox", row=str(taken.id), field="body")
            )
        except (UnsealError, msgspec.DecodeError) as error:
            _log.error("text %s cannot be read: %s", taken.id, type(error).__name__)
            return "cannot be read"
        meaning = inbound.meaning(text)
        if meaning is Meaning.STOP:
            await self._stop(connection, text)
        elif meaning is Meaning.START:
            await self._start(connection, text)
        elif meaning is Meaning.MAYBE_STOP:
            await self._flag(connection, text)
        return meaning

    async def _stop(self, connection: Connection, text: Inbound) -> None:
        phone_hash = self._sealer.lookup(text.phone)
        word = "OptOutType" if text.opt_out else text.body.strip().upper()[:16]
        if await suppressions.add(connection, phone_hash, origin="inbound", word=word):
            self._suppressed.note(phone_hash, lifted=False)

    async def _start(self, connection: Connection, text: Inbound) -> None:
        hashes = self._sealer.lookups(text.phone)
        if await suppressions.lift(connection, hashes):
            for each in hashes:
                self._suppressed.note(each, lifted=True)

    async def _flag(self, connection: Connection, text: Inbound) -> None:
        phone_hash = self._sealer.lookup(text.phone)
        shard = suppressions.shard_of_hash(phone_hash)
        row: UUID = new_id(shard)
        body = self._sealer.seal(text.body.encode(), table="revocation", row=str(row), field="body")
        await connection.execute(
            "INSERT INTO revocation (shard, id, phone_hash, body) VALUES (%s, %s, %s, %s)",
            (shard, row, phone_hash, body),
        )
        summary = "A text reads like an opt-out in somebody's own words: decide about it today."
        event = notice_draft(
            self._sealer, summary=summary, reason="maybe_opt_out", policy=self._policy
        )
        await notices.tell(connection, "maybe_opt_out", event)
