"""The topics step: lets an address follow a topic or no longer, whichever is wanted by now.

A command does not carry what it does: it makes FCM agree with what is stored when it is carried
out. It ends only when a look after its newest call still finds wanted what that call did. So
commands of one address may overtake each other, be repeated and lose their answers, and the last
wish stands: whatever the last call to arrive at FCM did, its own command looks once more.
"""

from __future__ import annotations

from datetime import UTC, datetime

from msgspec.structs import replace

from outbox.domain.content import Content
from outbox.domain.history import History
from outbox.domain.outcomes import SENT, Result
from outbox.relay.gate import Gate
from outbox.relay.ports import TopicProvider
from outbox.relay.pushing import GONE, TOPICS
from outbox.relay.texting import Blocked
from outbox.store.claims import Claim
from outbox.store.settle import Attempt

SUBSCRIBED = "subscribed"
UNSUBSCRIBED = "unsubscribed"


class Follower:
    """Carries out the commands of one relay."""

    def __init__(self, *, topics: TopicProvider, gate: Gate) -> None:
        """The gate has one way for FCM's topics."""
        self._topics = topics
        self._gate = gate
        (self._way,) = gate.of(TOPICS)

    async def carry_out(
        self,
        claim: Claim,
        content: Content,
        history: History,
        *,
        wanted: bool,
    ) -> Attempt | Blocked | None:
        """Make the call; null when the newest one did what is wanted."""
        if done(history) == (SUBSCRIBED if wanted else UNSUBSCRIBED):
            return None
        verdict = self._gate.ask(self._way, claim.lane)
        if not verdict.go:
            return Blocked(TOPICS, verdict)
        at = datetime.now(UTC)
        address, topic = content.address or "", content.topic or ""
        if wanted:
            outcome = await self._topics.subscribe(address, topic)
        else:
            outcome = await self._topics.unsubscribe(address, topic)
        self._gate.heard(self._way, verdict, outcome)
        if outcome.code == GONE and not wanted:
            detail = "the app is gone, and all that it followed with it"
            outcome = replace(outcome, result=Result.ACCEPTED, detail=detail)
        if outcome.result in SENT:
            outcome = replace(outcome, code=SUBSCRIBED if wanted else UNSUBSCRIBED)
        return Attempt(channel="topics", at=at, outcome=outcome)


def done(history: History) -> str | None:
    """What the newest call did; null when there is none, or nobody knows."""
    calls = [call for call in history.calls if call.what == "send"]
    return calls[-1].code if calls and calls[-1].result in SENT else None
