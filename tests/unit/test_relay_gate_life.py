"""A gate whatever happens to it: calls, outcomes, pauses."""

from __future__ import annotations

from collections import Counter

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from outbox.domain.outcomes import Outcome
from outbox.domain.rates import Share, share_of
from outbox.domain.states import Lane
from outbox.relay.gate import PROBE_S, Gate, Verdict
from tests.unit.relay_ways import ACCEPTED, BROKEN, REFUSED, SLOWER, Clock, _pauses, way

_LANES = st.sampled_from(list(Lane))


class LifeOfAGate(RuleBasedStateMachine):
    """Calls of all lanes through one way, whatever happens to it; a plain ledger is the witness."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.jitter = 0.5
        self.way = way(self.clock, rate=100.0)
        self.gate = Gate([self.way], clock=self.clock, jitter=lambda: self.jitter)
        self.tokens: Counter[Share] = Counter()
        self.under_way: list[Verdict] = []
        self.held_until = 0.0
        self.probes_granted = 0
        self.probes_made = 0

    @rule(pause=_pauses)
    def time_passes(self, pause: float) -> None:
        self.clock.now += pause

    @rule(jitter=st.floats(0, 1, exclude_max=True))
    def chance_turns(self, jitter: float) -> None:
        self.jitter = jitter

    @rule(share=st.sampled_from(list(Share)), got=st.integers(1, 20))
    def tokens_are_leased(self, share: Share, got: int) -> None:
        self.way.tokens = {**self.way.tokens, share: self.way.tokens.get(share, 0) + got}
        self.tokens[share] += got

    @precondition(lambda self: self.way.breaker.is_open)
    @rule()
    def this_relay_is_to_probe(self) -> None:
        if not self.way.probe_until > self.clock():
            self.probes_granted += 1
        self.way.probe_until = self.clock() + PROBE_S

    @rule(is_open=st.booleans())
    def the_others_vote(self, is_open: bool) -> None:
        self.way.shared_open = is_open

    @rule(lane=_LANES)
    def a_call_is_wanted(self, lane: Lane) -> None:
        held = self.clock() < self.held_until
        stopped = self.way.breaker.is_open or self.way.shared_open
        share = self.way.breaker.share(self.clock())
        verdict = self.gate.ask(self.way, lane)
        if not verdict.go:
            assert verdict.why
            assert verdict.wait_s > 0
            assert not verdict.probe
            return
        assert not held, "called although the provider wished for a pause"
        self.under_way.append(verdict)
        if verdict.probe:
            self.probes_made += 1
            assert self.probes_made <= self.probes_granted, "two probes for one lease"
            return
        assert not stopped, "called although it is open"
        assert self.jitter < share, "more than its share was let through"
        self.tokens[share_of(lane)] -= 1
        assert self.tokens[share_of(lane)] >= 0, "a token was spent twice"

    @precondition(lambda self: self.under_way)
    @rule(came=st.sampled_from([ACCEPTED, BROKEN, SLOWER, REFUSED]), newest=st.booleans())
    def a_call_ends(self, came: Outcome, newest: bool) -> None:
        verdict = self.under_way.pop(-1 if newest else 0)
        self.gate.heard(self.way, verdict, came)
        if came is SLOWER:
            self.held_until = max(self.held_until, self.clock() + 30.0)
        if verdict.probe and came in {ACCEPTED, SLOWER}:
            assert not self.way.breaker.is_open, "the probe went well, and it stays open"
        if verdict.probe and came is BROKEN:
            assert self.way.breaker.is_open, "the probe failed, and it closed"


TestLifeOfAGate = LifeOfAGate.TestCase
