"""Whatever had become of an alert, its end is told to who was alerted, alone."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outbox.domain.outcomes import Outcome, Result
from outbox.store.settle import Settlement
from tests.integration.relay_alerted import DEAD_NUMBER, check_in, raise_alert

from .relay_fakes import NEVER_ARRIVED, UNKNOWN, accepted, acknowledged, refused, said
from .relay_hand import Hand

_moves = st.lists(
    st.sampled_from(["call", "settle", "delivered", "undelivered", "ack", "wait", "long", "die"]),
    max_size=9,
)
_answers = st.lists(
    st.sampled_from(
        [accepted(), UNKNOWN, NEVER_ARRIVED, DEAD_NUMBER, refused(Result.RETRYABLE, "20429")]
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves=_moves, answers=_answers, device=st.booleans())
async def test_whatever_had_become_of_it_the_all_clear_goes_to_who_was_alerted_alone(
    by_hand: Hand, moves: list[str], answers: list[Outcome], device: bool
) -> None:
    life = Life(by_hand, answers)
    await life.begin(device=device)
    for move in moves:
        await life.do(move)
    made = await check_in(by_hand, life.alerted)
    ((kind, told),) = [made[life.alerted.contact[0]]]
    alerts = life.alerts_taken()
    by_hand.twilio.answer = lambda _: accepted()
    while life.held:
        await life.settle()
    await by_hand.to_the_end()
    assert life.alerts_taken() == alerts, "alerted after the check-in"
    if kind == "checkin.confirmed":
        assert alerts == 0
        assert by_hand.state(life.alerted.alert) == ("cancelled", "checked_in")
        return
    sent = by_hand.state(told) != ("cancelled", "never_alerted")
    # Who was alerted hears of it. Who certainly was not hears nothing; unknown counts as alerted.
    assert sent or alerts == 0
    assert not sent or alerts or life.unknown


class Life:
    """One alert, moved by hand until the Member checks in."""

    def __init__(self, by_hand: Hand, answers: list[Outcome]) -> None:
        self.hand = by_hand
        self.held: list[Settlement] = []
        self.unknown = any(one in {UNKNOWN, NEVER_ARRIVED} for one in answers)
        by_hand.calm()
        by_hand.twilio.taken.clear()
        by_hand.fcm.taken.clear()
        turns = iter(answers)
        by_hand.twilio.answer = lambda _: next(turns, answers[-1])

    async def begin(self, *, device: bool) -> None:
        self.alerted = await raise_alert(self.hand, device=device)

    async def do(self, move: str) -> None:
        texts = self.hand.twilio.texts_of(self.alerted.alert)
        match move:
            case "settle":
                await self.settle()
            case "call":
                for each in await self.hand.claim():
                    # Its lease was over: what became of the call before is not known.
                    self.unknown |= each.claim.abandoned
                    self.held.append(await self.hand.call(each))
            case "delivered" | "undelivered":
                for one in texts[-1:]:
                    await self.hand.hear(said(one, move, "30008"))
            case "ack":
                for _, reference in self.hand.fcm.taken[:1]:
                    await self.hand.hear(acknowledged(reference))
            case "die":
                # Of this call nobody knows whether it was made.
                self.unknown |= bool(await self.hand.claim())
                await self.hand.skip(21.0)
            case _:
                await self.hand.skip(5.0 if move == "wait" else 70.0)

    async def settle(self) -> None:
        if self.held:
            await self.hand.settle(self.held.pop(0))

    def alerts_taken(self) -> int:
        pushes = [p for p, _ in self.hand.fcm.taken if p.data["kind"] == "checkin.missed"]
        return len(self.hand.twilio.texts_of(self.alerted.alert)) + len(pushes)


# Telling others, and the page.
