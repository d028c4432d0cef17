"""The push step of a claim: every device of the recipient, and what it came to all in all.

Also the one push to all that follow a topic, which knows no device.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from outbox.domain.content import Content
from outbox.domain.messages import AddressKind, Push
from outbox.domain.outcomes import SENT, STEP_IS_OVER, Outcome, Result
from outbox.domain.plans import Plan
from outbox.domain.references import Purpose, Reference, ReferenceSigner
from outbox.domain.texts import push_text
from outbox.relay.gate import Gate
from outbox.relay.ports import PushProvider
from outbox.relay.texting import Blocked
from outbox.store.claims import Claim
from outbox.store.recipients import Device
from outbox.store.settle import Attempt

PROVIDER = "fcm"

TOPICS = "fcm_topics"
"""FCM's topics have quotas and faults of their own, and so a way of their own through the gate: a
hold that an announcement earned must never be one on alerts."""

GONE = "UNREGISTERED"
"""FCM's word for an address that will never work again."""


class Pusher:
    """Sends the pushes of one relay."""

    def __init__(self, *, push: PushProvider, gate: Gate, signer: ReferenceSigner) -> None:
        """The gate has one way for FCM, and one for its topics."""
        self._push = push
        self._gate = gate
        (self._way,) = gate.of(PROVIDER)
        (self._topics_way,) = gate.of(TOPICS)
        self._signer = signer

    async def send(
        self,
        claim: Claim,
        plan: Plan,
        content: Content,
        devices: Sequence[Device],
    ) -> list[Attempt] | Blocked:
        """Push to each device; blocked only where none was called."""
        if not devices:
            code, detail = "no_device", "there is no device"
            outcome = Outcome(
                result=Result.CHANNEL_FINAL, provider=PROVIDER, code=code, detail=detail
            )
            return [Attempt(channel="push", at=datetime.now(UTC), outcome=outcome)]
        attempts: list[Attempt] = []
        # One after the other: a person has one or two devices, and the slot is one claim's.
        for ordinal, device in enumerate(devices):
            verdict = self._gate.ask(self._way, claim.lane)
            if not verdict.go:
                if attempts:
                    break
                return Blocked(PROVIDER, verdict)
            at = datetime.now(UTC)
            address = (AddressKind(device.address_kind), device.address)
            data = {"receipt_token": self._reference(claim, ordinal)}
            outcome = await self._push.send(_message(claim, plan, content, address, data))
            self._gate.heard(self._way, verdict, outcome)
            attempts.append(Attempt(channel="push", at=at, outcome=outcome, ordinal=ordinal))
        return attempts

    async def send_to_topic(
        self,
        claim: Claim,
        plan: Plan,
        content: Content,
    ) -> list[Attempt] | Blocked:
        """Push to all that follow a topic.

        Without a receipt token: a million devices would acknowledge one notification at once.
        """
        verdict = self._gate.ask(self._topics_way, claim.lane)
        if not verdict.go:
            return Blocked(TOPICS, verdict)
        at = datetime.now(UTC)
        address = (AddressKind(content.address_kind or ""), content.address or "")
        outcome = await self._push.send(_message(claim, plan, content, address, {}))
        self._gate.heard(self._topics_way, verdict, outcome)
        return [Attempt(channel="topic", at=at, outcome=outcome)]

    def _reference(self, claim: Claim, ordinal: int) -> str:
        return self._signer.sign(
            Reference(
                purpose=Purpose.PUSH_RECEIPT,
                notification=claim.notification,
                step=claim.step,
                fence=claim.call_fence,
                lane=claim.lane,
                ordinal=ordinal,
            ),
        )


def _message(
    claim: Claim,
    plan: Plan,
    content: Content,
    address: tuple[AddressKind, str],
    data: Mapping[str, str],
) -> Push:
    title, body = push_text(claim.template, claim.locale, content)
    name = str(claim.notification)
    return Push(
        address_kind=address[0],
        address=address[1],
        title=title,
        body=body,
        data={"notification_id": name, "kind": claim.kind, **data},
        urgent=plan.urgent,
        ttl_s=ttl_s(plan, claim.step, age_s=(datetime.now(UTC) - claim.created_at).total_seconds()),
        tag=name,
    )


def ttl_s(plan: Plan, step: int, *, age_s: float) -> int:
    """How long FCM may keep a push: as its step says, and never past the notification's end.

    ``age_s`` is told by this machine's clock; minutes of difference do no harm to a push that
    waits for hours.
    """
    left = plan.expires_after_s - int(max(0.0, age_s))
    return max(0, min(plan.steps[step].ttl_s or left, left))


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
