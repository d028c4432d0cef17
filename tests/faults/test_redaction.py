"""Nothing of anybody, and no secret, is in anything that is emitted, whatever fails."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

import pytest

from tests.faults.bad_day import BadDay
from tests.faults.hunt import hunt
from tests.faults.stack import Stack
from tests.integration.collector import collecting

_ROOT = Path(__file__).parents[2]


def test_nothing_that_was_planted_is_emitted(stack: Stack) -> None:
    with collecting() as collector:
        day = BadDay(stack, collector)
        emitted = day.play()
    # It was a day on which everything spoke.
    assert {place: len(text) for place, text in emitted.items() if not text} == {}
    assert hunt(day.planted, emitted) == {}


@pytest.mark.long
def test_with_redaction_off_the_hunt_finds_all_of_it(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack.module = "tests.faults.leaky"
    stack.environ["PYTHONPATH"] = str(_ROOT)
    with collecting() as collector:
        day = BadDay(stack, collector)
        emitted = day.play()
    found = hunt(day.planted, emitted)
    assert set(day.planted) - set(found) == set()


@pytest.mark.parametrize(
    "text",
    [
        b'{"to": "+12025550187"}',
        b"to=%2B12025550187&from=x",
        b"call 12025550187 now",
        b"(202) 555-0187",
        b"202.555.0187",
        b"Authorization: Basic " + b64encode(b"user:+12025550187"),
        b64encode(b"x+12025550187yz"),
        b64encode(b"12025550187"),
        b"+12025550187".hex().encode(),
    ],
)
def test_the_hunt_finds_every_form(text: bytes) -> None:
    assert set(hunt({"number": "+12025550187"}, {"here": b"before " + text})) == {"number"}


def test_the_hunt_takes_no_figure_for_a_code() -> None:
    told = b"12:00:00.123456 took 4123456 ns, 123456 is your code"
    assert hunt({"code": "123456"}, {"log": told[:-21]}) == {}
    assert set(hunt({"code": "123456"}, {"log": told})) == {"code"}
