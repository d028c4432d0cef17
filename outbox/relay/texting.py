"""The SMS step of a claim: which sender, which text, and whether it may be called at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from msgspec import Struct

from outbox.domain import canaries
from outbox.domain.content import Content, short_reference
from outbox.domain.history import History
from outbox.domain.messages import Sms
from outbox.domain.outcomes import Outcome, Result
from outbox.domain.plans import Plan, Sender
from outbox.domain.references import Purpose, Reference, ReferenceSigner
from outbox.domain.states import Lane
from outbox.domain.texts import sms_text
from outbox.providers.codes import waits_for_repair
from outbox.relay.gate import ON_HOLD, Gate, Verdict, Way
from outbox.relay.ports import SmsProvider
from outbox.relay.suppressed import Suppressed
from outbox.store.claims import Claim
from outbox.store.settle import Attempt

PROVIDER = "twilio"
DOWN = "provider_down"
"""Our code for a call that was not made because the provider was known not to work."""

HELD = "provider_held"
"""The same because a person holds the provider."""

_VALIDITY_S = 36_000
"""How long a carrier may try; the longest that Twilio takes."""

_URGENT_VALIDITY_S = 14_400
"""An alert that arrives later than this confuses more than it helps."""


class Blocked(Struct, frozen=True):
    """No call may be made now."""

    provider: str
    verdict: Verdict

    @property
    def nowhere(self) -> str:
        """The reason of a page, where it is the last way of an alert."""
        return HELD if self.verdict.why == ON_HOLD else "all_providers_down"

    def skip(self, channel: str) -> Attempt:
        """What the story tells of a step that was passed over for it."""
        code = DOWN if self.verdict.is_down else "rate_limit"
        outcome = Outcome(
            result=Result.RETRYABLE,
            provider=self.provider,
            code=HELD if self.verdict.why == ON_HOLD else code,
            detail="no call was made",
        )
        return Attempt(channel=str(channel), at=datetime.now(UTC), outcome=outcome, what="skip")


class Texted(Struct, frozen=True):
    """A call was made."""

    attempt: Attempt
    another_sender: bool
    """There is a sender that has not been refused in this step."""
    repairable: bool = True
    """A refusal ends when a person repairs something: what is no alert may wait for that."""


class Texter:
    """Sends the texts of one relay."""

    def __init__(
        self,
        *,
        sms: SmsProvider,
        senders: Sequence[str],
        gate: Gate,
        signer: ReferenceSigner,
        suppressed: Suppressed,
    ) -> None:
        """``senders`` in order of preference, one way of the gate for each."""
        self._sms = sms
        self._senders = senders
        self._gate = gate
        self._ways = gate.of(PROVIDER)
        self._signer = signer
        self._suppressed = suppressed

    async def send(
        self,
        claim: Claim,
        plan: Plan,
        content: Content,
        history: History,
    ) -> Texted | Blocked:
        """Text the recipient by the best sender that may be used now."""
        at = datetime.now(UTC)
        if content.phone is None:
            return _uncalled(at, "no_number", "there is no number that can work")
        if self._suppressed.holds(content.phone):
            return _uncalled(
                at,
                "opted_out",
                "the recipient opted out of texts",
                result=Result.RECIPIENT_SUPPRESSED,
            )
        refused = history.senders_refused(claim.step)
        blocked: list[Verdict] = []
        for index in self._order(claim, plan, history):
            if index in refused:
                continue
            way = self._ways[index]
            verdict = self._gate.ask(way, claim.lane)
            if not verdict.go:
                blocked.append(verdict)
                continue
            left = len(refused) + 1 < len(self._senders)
            return await self._call(claim, plan, content, history, index, way, verdict, left=left)
        if not blocked:
            # Each of them was refused; the last refusal says what for.
            code = "no_sender"
            detail = "every sender was refused"
            result = Result.CONFIGURATION_FAULT
            return _uncalled(at, code, detail, result=result)
        # The way that is open soonest; one that merely has no token is not down.
        return Blocked(PROVIDER, min(blocked, key=lambda v: (v.is_down, v.wait_s)))

    def _order(self, claim: Claim, plan: Plan, history: History) -> Iterator[int]:
        """Senders by preference, those last that the carriers refuse after the fact.

        Where another one is wanted, those not used yet come first. One that was down, and may be
        back, is tried first by what can wait: where another sender works it would else never be.
        """
        can_wait = claim.lane != Lane.SAFETY or claim.kind in canaries.KINDS
        rank = [
            (not (can_wait and self._gate.may_be_back(way)), self._gate.is_doubted(way))
            for way in self._ways
        ]
        every = sorted(range(len(self._senders)), key=rank.__getitem__)
        other = plan.steps[claim.step].sender is Sender.OTHER
        used = history.senders_used() if other else frozenset()
        yield from (index for index in every if index not in used)
        yield from (index for index in every if index in used)

    async def _call(  # noqa: PLR0913, PLR0917 - what one call is made of
        self,
        claim: Claim,
        plan: Plan,
        content: Content,
        history: History,
        index: int,
        way: Way,
        verdict: Verdict,
        *,
        left: bool,
    ) -> Texted:
        at = datetime.now(UTC)
        reference = self._signer.sign(
            Reference(
                purpose=Purpose.SMS_STATUS,
                notification=claim.notification,
                step=claim.step,
                fence=claim.call_fence,
                lane=claim.lane,
            ),
        )
        outcome = await self._sms.send(
            Sms(
                to=content.phone or "",
                sender=self._senders[index],
                body=sms_text(
                    claim.template,
                    claim.locale,
                    content,
                    short_reference(claim.notification, claim.step),
                    short=history.text_was_refused(),
                ),
                reference=reference,
                validity_s=min(
                    plan.expires_after_s,
                    _URGENT_VALIDITY_S if plan.urgent else _VALIDITY_S,
                ),
            ),
        )
        self._gate.heard(way, verdict, outcome)
        attempt = Attempt(channel="sms", at=at, outcome=outcome, sender=index)
        repairable = outcome.result is not Result.SENDER_FAULT or waits_for_repair(outcome.code)
        return Texted(attempt, another_sender=left, repairable=repairable)


def _uncalled(
    at: datetime,
    code: str,
    detail: str,
    *,
    result: Result = Result.CHANNEL_FINAL,
) -> Texted:
    """No call was made, and the story says why."""
    outcome = Outcome(result=result, provider=PROVIDER, code=code, detail=detail)
    return Texted(Attempt(channel="sms", at=at, outcome=outcome), another_sender=False)
