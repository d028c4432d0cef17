"""No bytes from outside bring a parser to an error that is not its own."""

from __future__ import annotations

import os
import time

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings

from tests.fuzz.bending import bent
from tests.fuzz.targets import TARGETS, Target

_EXAMPLES = 200
_ROUND = 5_000
_SEARCH = 100_000
_MINUTES = float(os.environ.get("PRUUF_FUZZ_MINUTES", "60"))
"""For all parsers together."""

_targets = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)


def _try(target: Target, raw: bytes) -> object:
    try:
        return target.take(raw)
    except target.refuses:
        return None


def _search(target: Target, examples: int) -> None:
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(bent(target))
    def search(raw: bytes) -> None:
        _try(target, raw)

    search()


@_targets
def test_a_bug_that_was_put_there_is_found(target: Target) -> None:
    """A search that cannot come so deep would prove nothing."""
    assert not any(target.deep(raw, _try(target, raw)) for raw in target.seeds)
    find(
        bent(target),
        lambda raw: target.deep(raw, _try(target, raw)),
        # The same search each time: whether it comes so deep is no matter of luck.
        settings=settings(
            max_examples=_SEARCH,
            deadline=None,
            database=None,
            derandomize=True,
            phases=(Phase.generate,),
        ),
    )


@_targets
def test_a_parser_answers_or_refuses_in_its_own_words(target: Target) -> None:
    for raw in target.seeds:
        assert target.take(raw) is not None
    _search(target, _EXAMPLES)


@pytest.mark.soak
@_targets
def test_a_parser_stands_an_hour_of_it(target: Target) -> None:
    """PRUUF_FUZZ_MINUTES says how long, for all of them together."""
    ends = time.monotonic() + _MINUTES * 60 / len(TARGETS)
    rounds = 0
    while time.monotonic() < ends:
        _search(target, _ROUND)
        rounds += 1
    print(f"\n{target.name}: {rounds * _ROUND:,} tries")
