"""The outbox and its model live the same story, whatever happens in it and in whatever order."""

from __future__ import annotations

import asyncio
import logging
import os
from base64 import urlsafe_b64encode
from collections import Counter
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import HealthCheck, note
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from outbox.settings import load
from tests.integration.relay_fakes import acknowledged, said

from .decide import ANSWERS
from .row import Telling
from .world import World

_SHRINK = "PRUUF_MODEL_SHRINK"
"""``no``: whether there is a failure is all that is asked."""

_which = st.integers(0, 3)
_relay = st.sampled_from(["anna", "ben"])
_WORDS = {"is sent": "sent", "arrived": "delivered", "failed": "30008", "to a landline": "30006"}


class Story(RuleBasedStateMachine):
    """Each rule is one thing that happens; numbers choose among what there is."""

    world: World
    runner: asyncio.Runner

    def __init__(self) -> None:
        super().__init__()
        self.redriven: Counter[str] = Counter()
        self.withdrawn: set[str] = set()
        self.carrier_tells = True
        self.is_sound = False

    def _do(self, what: Coroutine[Any, Any, object]) -> None:
        self.is_sound = False
        self.runner.run(what)
        self._check()
        self.is_sound = True

    @initialize(carrier_tells=st.booleans())
    def begin(self, carrier_tells: bool) -> None:
        """Whether in the end every text arrives, or nothing is heard of any."""
        self.carrier_tells = carrier_tells
        self._do(self.world.begin())

    # What the backend says.

    @rule(contacts=st.integers(1, 2))
    def a_check_in_is_missed(self, contacts: int) -> None:
        self._do(self.world.posts.miss(contacts))

    @rule(contacts=st.integers(1, 2))
    def the_member_checks_in(self, contacts: int) -> None:
        self._do(self.world.posts.check_in(contacts))

    @rule()
    def a_check_in_is_missed_and_made_up_for_at_once(self) -> None:
        self._do(self.world.posts.miss_and_check_in())

    @rule()
    def an_older_check_in_is_missed(self) -> None:
        self._do(self.world.posts.miss(1, hour=0))

    @rule()
    def somebody_is_invited(self) -> None:
        self._do(self.world.posts.invite())

    # What relays and providers do.

    @rule(relay=_relay)
    def claim(self, relay: str) -> None:
        self._do(self.world.claim(relay))

    @rule(relay=_relay, which=_which, provider=st.sampled_from(list(ANSWERS)))
    def call(self, relay: str, which: int, provider: str) -> None:
        held = [each for each in self.world.hands[relay] if each.settlement is None]
        if held:
            self._do(self.world.call(relay, held[which % len(held)], provider))

    @rule(relay=_relay, provider=st.sampled_from(list(ANSWERS)))
    def claim_and_call(self, relay: str, provider: str) -> None:
        self._do(self._call_all(relay, provider))

    async def _call_all(self, relay: str, provider: str) -> None:
        await self.world.claim(relay)
        for held in self.world.hands[relay]:
            if held.settlement is None:
                await self.world.call(relay, held, provider)

    @rule(relay=_relay, which=_which)
    def settle(self, relay: str, which: int) -> None:
        held = [each for each in self.world.hands[relay] if each.settlement is not None]
        if held:
            one = held[which % len(held)]
            self.world.hands[relay].remove(one)
            self._do(self.world.settle(relay, one))

    @rule(relay=_relay)
    def do_all_that_is_due(self, relay: str) -> None:
        """As a relay does where nothing disturbs it."""
        self._do(self._all(relay, "takes it"))

    async def _all(self, relay: str, answer: str) -> None:
        await self._call_all(relay, answer)
        held, self.world.hands[relay] = self.world.hands[relay], []
        for each in held:
            await self.world.settle(relay, each)

    @rule(relay=_relay)
    def crash(self, relay: str) -> None:
        if self.world.hands[relay]:
            note(f"{relay} crashes")
            self.world.hands[relay] = []

    @rule(able=st.booleans())
    def the_provider_can_be_asked(self, able: bool) -> None:
        self.world.backend.twilio.can_be_asked = able

    # What is heard, and what people do.

    @rule(which=_which, word=st.sampled_from(list(_WORDS)))
    def a_text(self, which: int, word: str) -> None:
        texts = self.world.backend.twilio.taken
        if texts:
            status = _WORDS[word]
            code = status if status.isdigit() else None
            text = texts[-1 - which % len(texts)]
            self._do(self.world.hear(said(text, "undelivered" if code else status, code)))

    @rule(which=_which)
    def the_app_acknowledges(self, which: int) -> None:
        pushes = self.world.backend.fcm.taken
        if pushes:
            self._do(self.world.hear(acknowledged(pushes[-1 - which % len(pushes)][1])))

    @rule(which=_which)
    def cancel(self, which: int) -> None:
        if one := self._one(which):
            self.withdrawn.add(one.name)
            self._do(self.world.act("cancel", one.id))

    @rule(which=_which)
    def redrive(self, which: int) -> None:
        if one := self._one(which):
            self.redriven[one.name] += 1
            self._do(self.world.act("redrive", one.id))

    def _one(self, which: int) -> Telling | None:
        """Counted from the newest."""
        every = list(self.world.oracle.all.values())
        return every[-1 - which % len(every)] if every else None

    @rule()
    def leases_run_out(self) -> None:
        self._pass(21)

    @rule(seconds=st.sampled_from([4, 10, 61, 301]))
    def time_passes(self, seconds: int) -> None:
        self._pass(seconds)

    def _pass(self, seconds: int) -> None:
        note(f"{seconds} seconds pass")
        self.world.pass_(seconds)
        self._check()

    # What must be.

    def _check(self) -> None:
        """The database shows what the model knows. And Twilio can be asked: no text twice."""
        self.world.pass_()
        self.world.compare()
        texts = Counter(
            (one.reference.notification, one.reference.step)
            for one in self.world.backend.twilio.taken
        )
        for (notification, step), times in texts.items():
            name = self.world.oracle.all[notification].name
            assert times <= 1 + self.redriven[name], f"{name}, step {step}: {times} texts"

    def teardown(self) -> None:
        if self.is_sound:
            self._do(self._end())

    async def _end(self) -> None:
        """All is well from now on: everything comes to its end."""
        world = self.world
        world.backend.twilio.can_be_asked = True
        note("all is well from now on")
        await self._all("ben", "takes it")
        # Those that wait for a receipt are asked for at times that double, each at its own.
        for _ in range(60 + 10 * len(world.oracle.all)):
            await self._all("anna", "takes it")
            for text in world.backend.twilio.taken if self.carrier_tells else ():
                if world.oracle.all[text.reference.notification].row is not None:
                    await world.hear(said(text, "delivered"))
            world.compare()
            wait = world.backend.next_in_s()
            if wait is None:
                break
            world.pass_(wait + 0.5)
        for one in world.oracle.all.values():
            assert one.state != "open", f"{one.name} has no end: {one.row}"
            if one.state != "cancelled":
                continue
            taken = world.taken(one.id)
            assert not taken, f"{one.name} is cancelled, and {taken} calls were taken"
            if one.clears is not None and one.name not in self.withdrawn:
                assert not world.taken(one.clears), f"{one.name} is not sent to who was alerted"
        life = world.oracle.members.get(world.member)
        if life is not None and life.is_open and not life.page:
            states = {world.oracle.all[each].state for each in life.notifications}
            assert states & {"delivered", "parked"} or states == {"cancelled"}, f"silence: {states}"


@pytest.fixture
def story(
    tmp_path: Path, database_url: str, caplog: pytest.LogCaptureFixture
) -> Iterator[type[Story]]:
    key = urlsafe_b64encode(bytes(32)).decode()
    given = {"DATABASE_URL": database_url, "PRUUF_KEYS": key, "PRUUF_LOOKUP_KEYS": key}
    settings = load(given, cwd=tmp_path)
    caplog.set_level(logging.CRITICAL, logger="outbox")
    with asyncio.Runner() as runner:
        world = World(settings, ["anna", "ben"], note)
        yield type("Story", (Story,), {"world": world, "runner": runner})
        runner.run(world.close())


def _live(story: type[Story], *, examples: int, steps: int) -> None:
    phases = [hypothesis.Phase.generate]
    if os.environ.get(_SHRINK) != "no":
        phases.append(hypothesis.Phase.shrink)
    run_state_machine_as_test(
        story,
        settings=hypothesis.settings(
            max_examples=examples,
            stateful_step_count=steps,
            suppress_health_check=list(HealthCheck),
            phases=phases,
            print_blob=False,
            report_multiple_bugs=False,
        ),
    )


@pytest.mark.faults
def test_the_outbox_does_what_its_model_does(story: type[Story]) -> None:
    _live(story, examples=18, steps=30)


@pytest.mark.parametrize(
    "examples",
    [pytest.param(200, marks=pytest.mark.long), pytest.param(1_000, marks=pytest.mark.soak)],
)
def test_the_outbox_does_what_its_model_does_for_long(story: type[Story], examples: int) -> None:
    _live(story, examples=examples, steps=50)
