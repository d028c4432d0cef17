"""The same facts give the same state, in whatever order they arrive."""

from __future__ import annotations

from collections import Counter
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Struct

from outbox.domain.callbacks import Callback
from outbox.domain.messages import Sms
from outbox.domain.outcomes import Outcome
from outbox.domain.references import Reference
from outbox.store.settle import Settlement
from tests.integration.relay_awaited import ARRIVED, FAILED, REFUSED, SENT

from .relay_fakes import UNKNOWN, Taken, accepted, acknowledged, said
from .relay_hand import Hand, person

_MOVING = {"open": 0, "undeliverable": 1, "delivered": 2}

Said = tuple[str, str | None]


class World(Struct, frozen=True, kw_only=True):
    """What the providers do with one alert, and what of that is ever heard."""

    answer_is_lost: tuple[bool, bool]
    """Of the first and of the second text."""
    first: tuple[Said, ...]
    second: tuple[Said, ...]
    acknowledged: bool

    def answer(self, sms: Sms, alone: dict[str, int]) -> Outcome:
        turn = alone.setdefault(sms.body[-1:], len(alone))
        return UNKNOWN if self.answer_is_lost[min(turn, 1)] else accepted()

    def told(self, taken: Taken) -> list[Callback]:
        words = self.first if taken.reference.step == 0 else self.second
        return [said(taken, *word) for word in words]


_words = st.lists(st.sampled_from([SENT, ARRIVED, FAILED, REFUSED]), max_size=3, unique=True).map(
    tuple
)
_worlds = st.builds(
    World,
    answer_is_lost=st.tuples(st.booleans(), st.booleans()),
    first=_words,
    second=_words,
    acknowledged=st.booleans(),
)
_actions = st.lists(
    st.one_of(
        st.just(("call", 0)),
        st.just(("settle", 0)),
        st.tuples(st.just("hear"), st.integers(0, 7)),
        st.tuples(st.just("pass"), st.sampled_from([1, 20, 40, 70])),
    ),
    max_size=25,
)


class Life:
    """One alert to one Contact with one device, in one world."""

    def __init__(self, by_hand: Hand, world: World) -> None:
        self.hand, self.world = by_hand, world
        self.contact = person()
        self.id: UUID
        self.held: list[Settlement] = []
        self.unheard: Counter[str] = Counter()
        self.heard: set[str] = set()
        self.abandoned = 0
        self.state, self.step = "open", 0

    async def begin(self) -> None:
        turns: dict[str, int] = {}
        self.hand.twilio.answer = lambda sms: self.world.answer(sms, turns)
        self.hand.twilio.taken.clear()
        self.hand.fcm.taken.clear()
        self.hand.calm()
        await self.hand.device(self.contact[0])
        told = await self.hand.accept(self.hand.missed(person("m")[0], self.contact))
        self.id = told[self.contact[0]]

    def receipts(self) -> list[Callback]:
        """Everything that may be heard by now."""
        texts = [one for taken in self.hand.twilio.taken for one in self.world.told(taken)]
        pushes: list[Reference] = [reference for _, reference in self.hand.fcm.taken]
        return texts + [acknowledged(one) for one in pushes if self.world.acknowledged]

    async def call(self) -> None:
        calls = self._calls()
        for assignment in await self.hand.claim():
            self.abandoned += assignment.claim.abandoned
            if assignment.claim.notification == self.id:
                self.held.append(await self.hand.call(assignment))
            else:
                # The operator's page.
                await self.hand.settle(await self.hand.call(assignment))
        assert self.state == "open" or self._calls() == calls, "called when all was known"

    def _calls(self) -> int:
        return len(self.hand.twilio.taken) + len(self.hand.fcm.taken)

    async def hear(self, *callbacks: Callback) -> None:
        await self.hand.hear(*callbacks)
        self.heard |= {f"{one.fence}:{one.said}" for one in callbacks}

    async def settle(self) -> None:
        if self.held:
            await self.hand.settle(self.held.pop(0))

    async def hear_what_is_new(self) -> None:
        for one in self.receipts():
            if f"{one.fence}:{one.said}" not in self.heard:
                await self.hear(one)

    def check(self) -> None:
        """The state only rises, and no step is taken twice."""
        state, _ = self.hand.state(self.id)
        assert _MOVING[state] >= _MOVING[self.state], f"{self.state} fell to {state}"
        self.state = state
        due = self.hand.due(self.id)
        if due is not None:
            assert due["step"] >= self.step, "a step was taken back"
            self.step = due["step"]
        texts = Counter(one.reference.step for one in self.hand.twilio.taken)
        assert all(times == 1 for times in texts.values()), f"texts by step: {texts}"
        assert len(self.hand.fcm.taken) <= 1 + self.abandoned

    async def end(self) -> str:
        """Everything that is to be heard is heard, in order, until it is final."""
        for _ in range(60):
            await self.hear_what_is_new()
            while self.held:
                await self.settle()
                self.check()
            await self.hear_what_is_new()
            await self.call()
            self.check()
            if not self.held:
                if self.hand.due(self.id) is None:
                    return self.state
                await self.hand.skip(self.hand.next_in_s() or 0.05)
        msg = f"never final: {self.hand.due(self.id)}"
        raise AssertionError(msg)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(world=_worlds, actions=_actions)
async def test_the_same_facts_give_the_same_state_in_any_order(
    by_hand: Hand, world: World, actions: list[tuple[str, int]]
) -> None:
    by_hand.twilio.can_be_asked = True
    by_hand.twilio.status = lambda _: ("queued", None)
    ordered = Life(by_hand, world)
    await ordered.begin()
    expected = await ordered.end()

    life = Life(by_hand, world)
    await life.begin()
    for what, n in actions:
        match what:
            case "call":
                await life.call()
            case "settle":
                await life.settle()
            case "hear":
                known = life.receipts()
                if known:
                    await life.hear(known[n % len(known)], known[(n * 3) % len(known)])
            case _:
                await by_hand.skip(n)
        life.check()
    assert await life.end() == expected
    # What comes once more moves nothing.
    before = by_hand.rows("SELECT * FROM notification WHERE id = %s", (life.id,))
    for one in reversed(life.receipts()):
        await life.hear(one, one)
    assert by_hand.rows("SELECT * FROM notification WHERE id = %s", (life.id,)) == before
