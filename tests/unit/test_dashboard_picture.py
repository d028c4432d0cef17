"""The picture of a life: every event in its lane, told by a form and in words, however long."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from dashboard import picture
from outbox.domain.ids import new_id
from outbox.domain.timeline import Entry
from outbox.store.views import Notification, PlanStep

_START = datetime(2026, 11, 23, 9, tzinfo=UTC)


def _entry(after_s: float, what: str, **known: object) -> Entry:
    return Entry(at=_START + timedelta(seconds=after_s), what=what, **known)  # type: ignore[arg-type] # fields of an entry


def _told(*timeline: Entry) -> Notification:
    return Notification(
        id=new_id(0),
        event_id=new_id(0),
        kind="checkin.missed",
        subject="m_1",
        recipient="c_1",
        lane="safety",
        state="delivered",
        reason=None,
        proof="app",
        channel="push",
        step=1,
        created_at=_START,
        final_at=_START,
        expires_at=_START,
        next_at=None,
        attempts=2,
        plan=[PlanStep(channel="sms", receipt_within_s=60, retry_within_s=60)],
        timeline=list(timeline),
    )


_FALLBACK = (
    _entry(0, "accepted", detail="from <backend>"),
    _entry(0.1, "attempt", channel="sms", step=0, provider="twilio", outcome="accepted"),
    _entry(
        38, "receipt", channel="sms", step=0, provider="twilio", outcome="undelivered", code="30005"
    ),
    _entry(38.1, "decision", channel="push", step=1, outcome="next_step", detail="sms undelivered"),
    _entry(38.2, "attempt", channel="push", step=1, provider="fcm", outcome="accepted"),
    _entry(41, "receipt", channel="push", step=1, provider="app", outcome="received"),
    _entry(41, "decision", channel="push", outcome="delivered"),
)


def test_each_event_stands_in_the_lane_of_its_way() -> None:
    marks = [picture.mark(entry) for entry in _FALLBACK]
    assert [(m.lane, m.form, m.tone, m.text) for m in marks] == [
        ("decisions", "▶", "plain", "accepted"),
        ("sms", "●", "plain", "called"),
        ("sms", "✗", "bad", "undelivered 30005"),
        ("decisions", "→", "plain", "next: push"),
        ("push", "●", "plain", "called"),
        ("app", "✓", "good", "received"),
        ("decisions", "✓", "good", "delivered"),
    ]
    assert marks[2].meaning == "unknown handset (30005)"


def test_what_was_waited_for_is_drawn_and_told() -> None:
    drawn = picture.markup(_told(*_FALLBACK))
    assert re.findall(r'class="p-lane" style="[^"]*">([^<]+)<', drawn) == [
        "SMS",
        "push",
        "the app",
        "decisions",
    ]
    assert drawn.count("<u ") == 2
    assert "waited 38 s" in drawn


def test_what_others_wrote_is_no_markup() -> None:
    assert "<backend>" not in picture.markup(_told(*_FALLBACK))


@pytest.mark.parametrize("number", [1, 24, 25, 400])
def test_a_long_life_is_shortened_in_the_middle(number: int) -> None:
    tries = [
        _entry(n, "attempt", channel="sms", step=0, provider="twilio", outcome="retryable")
        for n in range(number)
    ]
    drawn = picture.markup(_told(*tries))
    assert drawn.count('class="p-mark p-bad"') == min(number, 24)
    assert ("…</span>" in drawn) == (number > 24)
