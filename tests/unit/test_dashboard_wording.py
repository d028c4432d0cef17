"""Words instead of codes: none is missing, and the unknown is shown as it is."""

from __future__ import annotations

import pytest

from dashboard import words
from outbox import wording
from outbox.domain import plans, timeline
from outbox.domain.outcomes import Result
from outbox.store.views import STATES


@pytest.mark.parametrize("kind", sorted(plans.defaults()))
def test_every_kind_has_a_name(kind: str) -> None:
    assert kind in wording.KINDS


@pytest.mark.parametrize("plan", plans.defaults().values(), ids=list(plans.defaults()))
def test_every_channel_has_a_name(plan: plans.Plan) -> None:
    assert all(wording.channel(step.channel) in wording.CHANNELS.values() for step in plan.steps)


@pytest.mark.parametrize("state", STATES)
def test_every_state_has_a_name_and_a_mark(state: str) -> None:
    assert state in wording.STATES
    mark, _, name = words.marked(state).partition(" ")
    assert name == wording.state(state)
    assert mark in "○◔◑▲✓✗–"


@pytest.mark.parametrize("result", list(Result))
def test_every_result_has_a_name(result: Result) -> None:
    assert result in wording.RESULTS


@pytest.mark.parametrize("reason", sorted(timeline._REASONS))
def test_every_reason_has_words(reason: str) -> None:
    assert wording.reason(reason) != reason


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ("twilio_30005", "unknown handset (Twilio 30005)"),
        ("twilio_21211", "not a valid number (Twilio 21211)"),
        ("twilio_timeout", "no answer in time (Twilio)"),
        ("twilio_99999", "99999 (Twilio 99999)"),
        ("operator_connect", "no connection (the operator)"),
        ("something_else", "something_else"),
        (None, "unknown"),
    ],
)
def test_reasons(stored: str | None, shown: str) -> None:
    assert wording.reason(stored) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, "–"),
        (0.0, "0 ms"),
        (0.0414, "41 ms"),
        (1.25, "1.2 s"),
        (41, "41 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7_200, "2 h"),
        (172_800, "2 d"),
    ],
)
def test_spans(seconds: float | None, shown: str) -> None:
    assert wording.span(seconds) == shown


@pytest.mark.parametrize(
    ("part", "whole", "shown"),
    [
        (0, 0, "unknown"),
        (0, 10, "0 %"),
        (10, 10, "100 %"),
        (99_999, 100_000, "99.99 %"),
        (1, 1_000_000, "< 0.01 %"),
    ],
)
def test_a_share_is_never_rounded_up(part: int, whole: int, shown: str) -> None:
    assert words.percent(part, whole) == shown
