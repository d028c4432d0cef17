"""After a cancel no call begins, whatever happens meanwhile."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outbox.domain.outcomes import Outcome, Result
from outbox.store.settle import Settlement
from tests.integration.relay_acted_on import cancel_it, make_note, raise_alert

from .relay_fakes import NEVER_ARRIVED, UNKNOWN, accepted, acknowledged, refused, said
from .relay_hand import Hand

_moves = st.lists(
    st.sampled_from(["call", "settle", "hear", "ack", "wait", "wait_long", "die"]), max_size=10
)
_answers = st.lists(
    st.sampled_from(
        [
            accepted(),
            UNKNOWN,
            NEVER_ARRIVED,
            refused(Result.RETRYABLE, "20429"),
            refused(Result.CHANNEL_FINAL, "21614"),
            refused(Result.CONTENT_FINAL, "30007"),
        ]
    ),
    min_size=4,
    max_size=4,
)


class Life:
    """One notification, and the claims that are called and not settled."""

    def __init__(self, by_hand: Hand, *, failing: bool) -> None:
        self.hand = by_hand
        self.word = "undelivered" if failing else "delivered"
        self.held: list[Settlement] = []

    async def do(self, move: str) -> None:
        await getattr(self, move)()

    async def call(self) -> None:
        self.held += [await self.hand.call(each) for each in await self.hand.claim()]

    async def settle(self) -> None:
        if self.held:
            await self.hand.settle(self.held.pop(0))

    async def hear(self) -> None:
        for taken in self.hand.twilio.taken[:1]:
            await self.hand.hear(said(taken, self.word, "30008"))

    async def ack(self) -> None:
        for _, reference in self.hand.fcm.taken[:1]:
            await self.hand.hear(acknowledged(reference))

    async def wait(self) -> None:
        await self.hand.skip(5.0)

    async def wait_long(self) -> None:
        await self.hand.skip(70.0)

    async def die(self) -> None:
        await self.hand.claim()
        await self.hand.skip(21.0)

    def calls(self) -> int:
        return len(self.hand.twilio.calls) + len(self.hand.fcm.calls)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves=_moves, answers=_answers, failing=st.booleans(), alert=st.booleans())
async def test_after_a_cancel_no_call_begins_and_cancelled_means_nothing_was_taken(
    by_hand: Hand, moves: list[str], answers: list[Outcome], failing: bool, alert: bool
) -> None:
    by_hand.calm()
    by_hand.twilio.taken.clear()
    by_hand.fcm.taken.clear()
    turns = iter(answers)
    by_hand.twilio.answer = lambda _: next(turns, answers[-1])
    notification = await (raise_alert(by_hand) if alert else make_note(by_hand))
    life = Life(by_hand, failing=failing)
    for move in moves:
        await life.do(move)
    result, before = await cancel_it(by_hand, notification)
    calls = life.calls()
    while life.held:
        await life.settle()
    await by_hand.to_the_end()
    assert life.calls() == calls, "a call began after the cancel"
    state, reason = by_hand.state(notification)
    taken = len(by_hand.twilio.texts_of(notification)) + len(by_hand.fcm.taken)
    if result == "cancelled":
        assert (state, taken) == ("cancelled", 0)
    elif result == "already_final":
        assert state == before
    elif taken:
        assert state == "delivered" or reason in {"withdrawn", "outcome_unknown", "too_late"}
    if state == "cancelled":
        assert taken == 0


# Redrive.
