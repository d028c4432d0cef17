"""Backoff: full jitter under a ceiling that doubles, and a provider's wish as the floor."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbox.domain.backoff import delay_s

_attempts = st.integers(-3, 100_000)
_jitters = st.floats(0, 1, exclude_max=True)
_highest = 1 - 2**-53


def _ceiling(attempt: int, *, urgent: bool) -> float:
    return delay_s(attempt, urgent=urgent, jitter=lambda: 1.0)


@given(_attempts, st.booleans(), _jitters)
def test_a_delay_lies_between_nothing_and_the_ceiling(
    attempt: int, urgent: bool, jitter: float
) -> None:
    delay = delay_s(attempt, urgent=urgent, jitter=lambda: jitter)
    assert 0 <= delay < (8 if urgent else 120)
    assert delay == pytest.approx(jitter * _ceiling(attempt, urgent=urgent))


@pytest.mark.parametrize(
    ("urgent", "ceilings"),
    [
        (False, [1, 2, 4, 8, 16, 32, 64, 120, 120]),
        (True, [0.5, 1, 2, 4, 8, 8, 8, 8, 8]),
    ],
)
def test_the_ceiling_doubles_up_to_its_cap(urgent: bool, ceilings: list[float]) -> None:
    assert [_ceiling(n, urgent=urgent) for n in range(1, 10)] == ceilings


@given(_attempts, _attempts, st.booleans(), _jitters)
def test_a_later_try_never_waits_less_with_the_same_jitter(
    one: int, other: int, urgent: bool, jitter: float
) -> None:
    earlier, later = sorted((one, other))
    assert delay_s(earlier, urgent=urgent, jitter=lambda: jitter) <= delay_s(
        later, urgent=urgent, jitter=lambda: jitter
    )


@given(_attempts, _jitters)
def test_urgent_work_never_waits_longer_than_other_work(attempt: int, jitter: float) -> None:
    urgent = delay_s(attempt, urgent=True, jitter=lambda: jitter)
    assert urgent <= delay_s(attempt, urgent=False, jitter=lambda: jitter)


@pytest.mark.parametrize("attempt", [1, 4, 9])
def test_the_whole_range_below_the_ceiling_is_used(attempt: int) -> None:
    ceiling = _ceiling(attempt, urgent=False)
    assert delay_s(attempt, urgent=False, jitter=lambda: 0.0) == 0
    assert delay_s(attempt, urgent=False, jitter=lambda: 0.5) == ceiling / 2
    assert delay_s(attempt, urgent=False, jitter=lambda: _highest) == pytest.approx(ceiling)


@given(_attempts, st.booleans(), _jitters, st.floats(0, 1e6))
def test_a_wish_of_the_provider_is_a_floor_that_jitter_only_adds_to(
    attempt: int, urgent: bool, jitter: float, wish: float
) -> None:
    delay = delay_s(attempt, urgent=urgent, jitter=lambda: jitter, retry_after_s=wish)
    # At most a second is added: who asks for 30 s gets no 150.
    assert wish <= delay <= wish + 1


@given(_attempts, st.booleans(), _jitters, st.floats(max_value=0, allow_nan=False))
def test_a_wish_in_the_past_is_none(attempt: int, urgent: bool, jitter: float, wish: float) -> None:
    delay = delay_s(attempt, urgent=urgent, jitter=lambda: jitter, retry_after_s=wish)
    assert 0 <= delay <= 1
