"""Carries out the commands at Stripe: one change a claim, decided from what is there just now.

Whatever a claim learns is written with its settle. A lost answer is asked for with the same
idempotency key while Stripe keeps keys; what was made by it is found by its metadata later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

from msgspec.structs import replace

from outbox.domain import billing_moves as moves
from outbox.domain.billing_facts import LOOK, STRIPE
from outbox.domain.billing_notices import NO_LONGER_TRUE
from outbox.domain.billing_requests import BillingProvider
from outbox.domain.content import Content
from outbox.domain.decide import Final
from outbox.domain.history import History
from outbox.domain.outcomes import Outcome, Result
from outbox.domain.policy import Policy
from outbox.domain.states import State, Work
from outbox.relay.billing_applier import own_command
from outbox.relay.billing_carrying import Carrying
from outbox.relay.billing_looking import Looking
from outbox.relay.database import Session
from outbox.relay.gate import Gate
from outbox.relay.texting import Blocked
from outbox.sealing import Sealer
from outbox.store.billing_accounts import Command, read_command
from outbox.store.billing_learn import Learned
from outbox.store.billing_notices import untrue
from outbox.store.billing_owners import owner_of_customer
from outbox.store.claims import Claim
from outbox.store.connect import Connection
from outbox.store.settle import Attempt, Settlement

PROVIDER = STRIPE

_OFF = "billing_off"


class Commands:
    """Carries out the commands of one relay."""

    def __init__(  # noqa: PLR0913 - all that it needs is passed in
        self,
        *,
        stripe: BillingProvider | None,
        gate: Gate,
        session: Session,
        sealer: Sealer,
        policy: Policy,
        jitter: Callable[[], float],
    ) -> None:
        """``stripe`` is null where billing is off; the gate has one way for it."""
        self._stripe = stripe
        self._gate = gate
        (self._way,) = gate.of(PROVIDER)
        self._session = session
        self._sealer = sealer
        self._policy = policy
        self._jitter = jitter
        # The session is one connection, and claims are carried out side by side.
        self._reading = asyncio.Lock()

    async def carry_out(self, claim: Claim, content: Content) -> Settlement | Blocked:
        """Make the next change, or find that there is none."""
        if self._stripe is None:
            return _off(claim)
        command = await self._read(claim)
        if command.waits:
            waiting = moves.after_waiting(
                attempt=claim.attempt, asked=claim.asked, jitter=self._jitter
            )
            return Settlement(claim=claim, move=waiting)
        verdict = self._gate.ask(self._way, claim.lane)
        if not verdict.go:
            return Blocked(PROVIDER, verdict)
        with self._stripe.together():
            if claim.kind == LOOK:
                known = {} if command.account is None else command.account.changed
                made = await Looking(self._stripe, self._owner, known).run(content)
            else:
                made = await Carrying(self._stripe, self._sealer, claim, content, command).run()
        self._gate.heard(self._way, verdict, made.attempt.outcome)
        move = moves.after(
            made.attempt.outcome,
            enough=made.enough,
            attempt=claim.attempt,
            is_late=claim.expired,
            jitter=self._jitter,
        )
        learned = made.learned
        if isinstance(learned, Learned):
            look = partial(own_command, self._sealer, self._policy, LOOK, learned.account)
            learned = replace(learned, again=look)
        return Settlement(claim=claim, move=move, attempts=(made.attempt,), also=learned)

    async def untrue(self, claim: Claim, history: History) -> Final | None:
        """The end of a notice that says what is not so any more; null: it still is."""
        if claim.work != Work.SEND or history.may_have_been_sent():
            # Something may have been sent: that it was cancelled would not be so, either.
            return None
        named = [(claim.shard, claim.notification)]
        async with self._reading:
            stale = await self._session.persist(partial(untrue, notifications=named))
        return Final(state=State.CANCELLED, reason=NO_LONGER_TRUE) if stale else None

    async def _read(self, claim: Claim) -> Command:
        async def read(connection: Connection) -> Command:
            return await read_command(connection, claim.shard, claim.subject, claim.notification)

        async with self._reading:
            return await self._session.persist(read)

    async def _owner(self, name: str) -> tuple[int, str] | None:
        async with self._reading:
            return await self._session.persist(partial(owner_of_customer, customer=name))


def _off(claim: Claim) -> Settlement:
    outcome = Outcome(
        result=Result.CONFIGURATION_FAULT,
        provider=PROVIDER,
        code=_OFF,
        detail="no call was made: Stripe's settings are missing",
    )
    attempt = Attempt(channel=STRIPE, at=datetime.now(UTC), outcome=outcome, what="skip")
    return Settlement(claim=claim, move=moves.parked(_OFF), attempts=(attempt,))
