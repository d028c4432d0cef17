"""What is stored of one notification so far, and what follows from it."""

from __future__ import annotations

from msgspec import Struct

from outbox.domain.outcomes import SENT, Result
from outbox.domain.plans import Channel
from outbox.domain.receipts import is_failure

_NO_OTHER_SENDER_HELPS = frozenset({Result.CHANNEL_FINAL, Result.RECIPIENT_SUPPRESSED})


class Called(Struct, frozen=True, kw_only=True):
    """An earlier attempt of the same notification."""

    step: int
    fence: int
    what: str
    """``send``, ``ask``, or ``skip``: no call was made, as the provider was down."""
    channel: str
    provider: str
    sender: int | None
    """Position in the configured senders."""
    result: str
    code: str | None
    provider_id: str | None


class Heard(Struct, frozen=True, kw_only=True):
    """A receipt of the same notification."""

    step: int
    fence: int
    source: str
    status: str
    code: str | None
    rank: int
    provider_id: str | None
    result: str | None
    """What a failure means for further texts to this number; null for what is none."""


class History(Struct, frozen=True):
    """Everything, oldest first."""

    calls: tuple[Called, ...] = ()
    receipts: tuple[Heard, ...] = ()

    def of_call(self, fence: int) -> tuple[Heard, ...]:
        """Receipts of one call."""
        return tuple(heard for heard in self.receipts if heard.fence == fence)

    def number_is_unusable(self) -> bool:
        """Whether a provider refused the recipient's number itself: another sender cannot help."""
        refused = any(
            c.channel == Channel.SMS and c.result in _NO_OTHER_SENDER_HELPS for c in self.calls
        )
        return refused or any(heard.result in _NO_OTHER_SENDER_HELPS for heard in self.receipts)

    def text_was_refused(self) -> bool:
        """Whether a carrier or a provider refused the text: the short one may pass."""
        results = [*(c.result for c in self.calls), *(heard.result for heard in self.receipts)]
        return Result.CONTENT_FINAL in results

    def senders_refused(self, step: int) -> frozenset[int]:
        """Senders that were refused as such in one step."""
        return frozenset(
            call.sender
            for call in self.calls
            if call.step == step and call.result == Result.SENDER_FAULT and call.sender is not None
        )

    def senders_used(self) -> frozenset[int]:
        """Senders that took a text of this notification."""
        return frozenset(
            call.sender for call in self.calls if call.result in SENT and call.sender is not None
        )

    def may_have_been_sent(self) -> bool:
        """Whether anything of it may be at a provider, by any step; unknown counts as yes.

        A question was only asked because a call may have gone out, and a receipt speaks of one.
        """
        maybe = {*SENT, Result.OUTCOME_UNKNOWN}
        return bool(self.receipts) or any(
            call.what == "ask" or (call.what == "send" and call.result in maybe)
            for call in self.calls
        )

    def message_of(self, fence: int) -> str | None:
        """The provider's name for the message of one call; null when it never said it."""
        named = [heard.provider_id for heard in self.of_call(fence)]
        # One that was found by asking stands with the fence of the claim that asked.
        named += [c.provider_id for c in self.calls if c.fence >= fence and c.result in SENT]
        return next((name for name in named if name is not None), None)

    def why(self) -> str:
        """The last failure in a few characters: ``twilio_30005``, ``no_receipt``, ``no_device``."""
        tried = [call for call in self.calls if call.what != "ask"]
        if not tried:
            return "no_channel"
        last = tried[-1]
        failures = [heard for heard in self.of_call(last.fence) if is_failure(heard.rank)]
        if failures:
            code = failures[-1].code
            return f"{last.provider}_{code}" if code else f"{last.provider}_{failures[-1].status}"
        found = any(c.result in SENT for c in self.calls if c.fence > last.fence)
        if last.result in SENT or found:
            return "no_receipt"
        return reason_of(last.provider, last.code, last.result)


def reason_of(provider: str, code: str | None, result: str) -> str:
    """A failure in a few characters; our own codes (``no_device``) stand for themselves."""
    if code is None:
        return f"{provider}_{result}"
    return code if code.startswith("no_") else f"{provider}_{code}"
