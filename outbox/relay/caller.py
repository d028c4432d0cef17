"""One claim becomes one settlement: decides what to call, calls it, and names what follows.

No database connection is held here: a slow provider must not hold what others need.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from msgspec import Struct

from outbox.domain import content as contents
from outbox.domain import decide, plans
from outbox.domain.content import Content, short_reference
from outbox.domain.decide import Final, History, Move
from outbox.domain.messages import AddressKind, Page, Push, Sms
from outbox.domain.outcomes import SENT, STEP_IS_OVER, Outcome, Result
from outbox.domain.plans import Channel, Plan, Sender
from outbox.domain.references import Purpose, Reference, ReferenceSigner
from outbox.domain.states import State, Work
from outbox.domain.texts import push_text, sms_text
from outbox.relay.clock import START_WITHIN_S, Clock
from outbox.relay.ports import Pager, PushProvider, SmsProvider
from outbox.relay.resolver import Resolver
from outbox.sealing import Sealer
from outbox.store.claims import Claim
from outbox.store.recipients import Device
from outbox.store.settle import Attempt, Settlement

_VALIDITY_S = 36_000
"""How long a carrier may try; the longest that Twilio takes."""

_URGENT_VALIDITY_S = 14_400
"""An alert that arrives later than this confuses more than it helps."""

_PUSH_TTL_S = 86_400

_GONE = "UNREGISTERED"
"""FCM's word for an address that will never work again."""


class Assignment(Struct, frozen=True, kw_only=True):
    """A claim with all that was read for it."""

    claim: Claim
    claimed_at: float
    """By the clock that runs on while the process is stopped; taken before the claim was sent."""
    history: History = History()
    devices: tuple[Device, ...] = ()


class Caller:
    """Calls providers; shared by all lanes of a relay."""

    def __init__(  # noqa: PLR0913 - all that it may call is passed in
        self,
        *,
        sms: SmsProvider,
        push: PushProvider,
        pager: Pager,
        senders: Sequence[str],
        sealer: Sealer,
        signer: ReferenceSigner,
        resolver: Resolver,
        clock: Clock,
        jitter: Callable[[], float],
    ) -> None:
        """``senders`` in order of preference; ``clock`` must not stop with the process."""
        self._sms = sms
        self._push = push
        self._pager = pager
        self._senders = senders
        self._sealer = sealer
        self._signer = signer
        self._resolver = resolver
        self._clock = clock
        self._jitter = jitter

    async def run(self, assignment: Assignment) -> Settlement:
        """Do what the claim asks for; raises only for a fault of our own."""
        claim = assignment.claim
        plan = plans.decode(claim.plan)
        early = self._without_a_call(assignment, plan)
        if early is not None:
            return Settlement(claim=claim, move=early)
        if claim.work == Work.RESOLVE:
            content = self._content(claim)
            return await self._resolver.resolve(claim, plan, content, assignment.history)
        if self._clock() - assignment.claimed_at > START_WITHIN_S:
            # The lease may end before the call does: give it back, the try does not count.
            attempt = max(0, claim.attempt - 1)
            return Settlement(
                claim=claim,
                move=Move(work=Work.SEND, step=claim.step, attempt=attempt),
            )
        attempts = await self._call(assignment, plan)
        move = decide.after_call(
            plan,
            step=claim.step,
            attempt=claim.attempt,
            step_age_s=claim.step_age_s,
            outcome=combined([attempt.outcome for attempt in attempts]),
            jitter=self._jitter,
        )
        gone = {a.ordinal for a in attempts if a.outcome.code == _GONE}
        dead = tuple(d for ordinal, d in enumerate(assignment.devices) if ordinal in gone)
        return Settlement(claim=claim, move=move, attempts=tuple(attempts), dead=dead)

    def _without_a_call(self, assignment: Assignment, plan: Plan) -> Move | Final | None:
        claim, history = assignment.claim, assignment.history
        unknown = claim.work == Work.RESOLVE
        if claim.step >= len(plan.steps):
            return Final(state=State.UNDELIVERABLE, reason=history.why())
        if claim.cancel and not unknown:
            return Final(state=State.CANCELLED, reason="cancelled")
        if claim.expired:
            return Final(state=State.EXPIRED, reason="outcome_unknown" if unknown else "too_late")
        repeats_sms = claim.step > 0 and plan.steps[claim.step].channel is Channel.SMS
        if not unknown and repeats_sms and history.number_is_unusable():
            return decide.next_step(plan, claim.step, history.why())
        return None

    def _content(self, claim: Claim) -> Content:
        return contents.decode(
            self._sealer.unseal(
                claim.content,
                table="notification",
                row=str(claim.notification),
                field="content",
            ),
        )

    async def _call(self, assignment: Assignment, plan: Plan) -> list[Attempt]:
        claim = assignment.claim
        content = self._content(claim)
        match plan.steps[claim.step].channel:
            case Channel.SMS:
                return [await self._text(claim, plan, content)]
            case Channel.PUSH:
                return await self._push_all(assignment, plan, content)
            case Channel.PAGE:
                return [await self._page(claim, content)]

    async def _text(self, claim: Claim, plan: Plan, content: Content) -> Attempt:
        at = datetime.now(UTC)
        if content.phone is None:
            return Attempt(channel="sms", at=at, outcome=_nobody("twilio", "no_number"))
        sender = 0
        if plan.steps[claim.step].sender is Sender.OTHER and len(self._senders) > 1:
            sender = 1
        reference = short_reference(claim.notification, claim.step)
        outcome = await self._sms.send(
            Sms(
                to=content.phone,
                sender=self._senders[sender],
                body=sms_text(claim.template, claim.locale, content, reference),
                reference=self._reference(claim, Purpose.SMS_STATUS, 0),
                validity_s=_URGENT_VALIDITY_S if plan.urgent else _VALIDITY_S,
            ),
        )
        return Attempt(channel="sms", at=at, outcome=outcome, sender=sender)

    async def _push_all(
        self,
        assignment: Assignment,
        plan: Plan,
        content: Content,
    ) -> list[Attempt]:
        claim = assignment.claim
        if not assignment.devices:
            at = datetime.now(UTC)
            return [Attempt(channel="push", at=at, outcome=_nobody("fcm", "no_device"))]
        title, body = push_text(claim.template, claim.locale, content)
        attempts = []
        # One after the other: a person has one or two devices, and the slot is one claim's.
        for ordinal, device in enumerate(assignment.devices):
            at = datetime.now(UTC)
            outcome = await self._push.send(
                Push(
                    address=device.address,
                    address_kind=AddressKind(device.address_kind),
                    title=title,
                    body=body,
                    data={
                        "notification_id": str(claim.notification),
                        "receipt_token": self._reference(claim, Purpose.PUSH_RECEIPT, ordinal),
                        "kind": claim.kind,
                    },
                    urgent=plan.urgent,
                    ttl_s=_PUSH_TTL_S,
                    collapse_key=str(claim.notification),
                ),
            )
            attempts.append(Attempt(channel="push", at=at, outcome=outcome, ordinal=ordinal))
        return attempts

    async def _page(self, claim: Claim, content: Content) -> Attempt:
        at = datetime.now(UTC)
        outcome = await self._pager.send(
            Page(
                notification_id=str(claim.notification),
                event_id=str(claim.event),
                reason="no_contact_reached",
                summary=content.summary or "",
                occurred_at=claim.created_at,
            ),
        )
        return Attempt(channel="page", at=at, outcome=outcome)

    def _reference(self, claim: Claim, purpose: Purpose, ordinal: int) -> str:
        return self._signer.sign(
            Reference(
                purpose=purpose,
                notification=claim.notification,
                step=claim.step,
                fence=claim.call_fence,
                lane=claim.lane,
                ordinal=ordinal,
            ),
        )


def _nobody(provider: str, code: str) -> Outcome:
    """There is no address to call: no call was made, and the story says so."""
    return Outcome(
        result=Result.CHANNEL_FINAL,
        provider=provider,
        code=code,
        detail="there is no address for this channel",
    )


def combined(outcomes: Sequence[Outcome]) -> Outcome:
    """One outcome for all devices of a step: accepted by any is sent; then what may still work."""
    for wanted in (
        SENT,
        {Result.OUTCOME_UNKNOWN, Result.RETRYABLE},
        {Result.CONFIGURATION_FAULT},
        STEP_IS_OVER,
    ):
        for outcome in outcomes:
            if outcome.result in wanted:
                return outcome
    return outcomes[0]
