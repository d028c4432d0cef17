"""The breaker: opens by enough failures and no less, and lets calls back in little by little."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from outbox.domain.breaker import COOL_S, LEAST, RETURN_S, SHARE, WITHIN_S, Breaker

_pauses = st.sampled_from([0.0, 0.01, 0.5, 1.0, 3.0, 9.9, 10.1, 30.0])
_jitters = st.floats(0, 1, exclude_max=True)
_REMEMBERED = 64
"""Results that may count at most: a busy sender is judged by the newest ones."""


def _steady() -> float:
    return 0.5


class LifeOfABreaker(RuleBasedStateMachine):
    """Calls, probes and pauses as they may come; a list of all results is the witness."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.jitter = 0.5
        self.breaker = Breaker(lambda: self.jitter)
        self.results: list[tuple[float, bool]] = []
        self.failed_probes = 0
        self.closed_at: float | None = None

    @rule(pause=_pauses)
    def time_passes(self, pause: float) -> None:
        self.now += pause

    @rule(jitter=_jitters)
    def chance_turns(self, jitter: float) -> None:
        self.jitter = jitter

    @precondition(lambda self: not self.breaker.is_open)
    @rule(ok=st.booleans(), times=st.integers(1, 80))
    def calls_end(self, ok: bool, times: int) -> None:
        for _ in range(times):
            self.results.append((self.now, ok))
            recent = [good for at, good in self.results[-_REMEMBERED:] if at >= self.now - WITHIN_S]
            failures = recent.count(False)
            enough = not ok and failures >= LEAST and failures >= SHARE * len(recent)
            assert self.breaker.heard(ok=ok, now=self.now) == enough
            assert self.breaker.is_open == enough
            if enough:
                self._opened()
                return

    @precondition(lambda self: self.breaker.is_open)
    @rule(ok=st.booleans())
    def a_call_ends_that_was_under_way_when_it_opened(self, ok: bool) -> None:
        until = self.breaker.open_until
        assert not self.breaker.heard(ok=ok, now=self.now)
        assert self.breaker.open_until == until

    @precondition(lambda self: self.breaker.is_open)
    @rule()
    def a_probe_fails(self) -> None:
        self.failed_probes += 1
        self.breaker.probed(ok=False, now=self.now)
        self._opened()

    @precondition(lambda self: self.breaker.is_open)
    @rule()
    def a_probe_goes_well(self) -> None:
        self.breaker.probed(ok=True, now=self.now)
        assert not self.breaker.is_open
        self.results, self.failed_probes, self.closed_at = [], 0, self.now

    def _opened(self) -> None:
        """It rests for the time that its failed probes ask for, spread by chance."""
        self.results, self.closed_at = [], None
        rest = min(COOL_S[0] * 2.0**self.failed_probes, COOL_S[1])
        assert self.breaker.open_until is not None
        assert 0.8 * rest - 1e-6 <= self.breaker.open_until - self.now <= 1.2 * rest + 1e-6

    @invariant()
    def the_share_is_none_while_open_and_rises_after(self) -> None:
        share = self.breaker.share(self.now)
        if self.breaker.is_open:
            assert share == 0.0
        elif self.closed_at is None:
            assert share == 1.0
        else:
            passed = (self.now - self.closed_at) / RETURN_S
            assert share == pytest.approx(min(1.0, max(0.1, passed)))


TestLifeOfABreaker = LifeOfABreaker.TestCase


@given(st.lists(st.tuples(_pauses, st.booleans()), max_size=200))
def test_it_never_opens_by_fewer_failures_than_it_takes(
    results: list[tuple[float, bool]],
) -> None:
    breaker, now, failures = Breaker(_steady), 0.0, 0
    for pause, ok in results:
        now += pause
        failures += not ok
        if breaker.heard(ok=ok, now=now):
            assert failures >= LEAST
            return
    assert failures < LEAST or not breaker.is_open


def test_it_opens_at_the_last_of_enough_failures() -> None:
    breaker = Breaker(_steady)
    opened = [breaker.heard(ok=False, now=float(n)) for n in range(LEAST)]
    assert opened == [False] * (LEAST - 1) + [True]


def test_half_of_the_calls_failing_open_it_and_fewer_do_not() -> None:
    for good, opens in ((LEAST, True), (LEAST + 1, False)):
        breaker = Breaker(_steady)
        for _ in range(good):
            breaker.heard(ok=True, now=0.0)
        opened = [breaker.heard(ok=False, now=1.0) for _ in range(LEAST)]
        assert opened[-1] == opens


def test_failures_of_long_ago_say_nothing() -> None:
    breaker = Breaker(_steady)
    for n in range(50):
        assert not breaker.heard(ok=False, now=n * (WITHIN_S / (LEAST - 1) + 0.1))


def test_a_busy_sender_is_judged_by_its_newest_calls() -> None:
    breaker = Breaker(_steady)
    for _ in range(100_000):
        breaker.heard(ok=True, now=0.0)
    opened = [breaker.heard(ok=False, now=0.1) for _ in range(_REMEMBERED)]
    assert opened.index(True) == _REMEMBERED // 2 - 1


def test_each_probe_that_fails_doubles_the_rest_up_to_the_longest() -> None:
    breaker = Breaker(_steady)
    breaker.open(0.0)
    rests = [breaker.open_until]
    for _ in range(5):
        breaker.probed(ok=False, now=0.0)
        rests.append(breaker.open_until)
    assert rests == [5.0, 10.0, 20.0, 30.0, 30.0, 30.0]
    breaker.probed(ok=True, now=0.0)
    breaker.open(0.0)
    assert breaker.open_until == 5.0


def test_relays_do_not_probe_as_one() -> None:
    untils = set()
    for jitter in (0.0, 0.3, 0.6, 0.9):
        breaker = Breaker(lambda jitter=jitter: jitter)  # type: ignore[misc]
        breaker.open(0.0)
        untils.add(breaker.open_until)
    assert len(untils) == 4


@given(st.lists(st.floats(0, RETURN_S * 1.5), min_size=2))
def test_it_returns_without_a_step_back(moments: list[float]) -> None:
    breaker = Breaker(_steady)
    breaker.open(0.0)
    breaker.close(100.0)
    shares = [breaker.share(100.0 + moment) for moment in sorted(moments)]
    assert all(earlier <= later for earlier, later in pairwise(shares))
    assert all(0.1 <= share <= 1.0 for share in shares)


def test_it_has_returned_after_its_time_and_stays() -> None:
    breaker = Breaker(_steady)
    breaker.open(0.0)
    breaker.close(10.0)
    assert breaker.share(10.0) == 0.1
    assert breaker.share(10.0 + RETURN_S / 2) == 0.5
    assert breaker.share(10.0 + RETURN_S) == 1.0
    assert breaker.share(10.0 + RETURN_S * 10) == 1.0


def test_a_relapse_while_it_returns_opens_it_anew() -> None:
    breaker = Breaker(_steady)
    breaker.open(0.0)
    breaker.close(10.0)
    opened = [breaker.heard(ok=False, now=11.0) for _ in range(LEAST)]
    assert opened[-1]
    assert breaker.share(11.0) == 0.0
    breaker.close(20.0)
    assert breaker.share(20.0) == 0.1
