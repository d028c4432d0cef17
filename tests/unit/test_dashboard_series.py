"""Every way to reach somebody has its part in the bars, and its words."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from dashboard.reach import Reached
from dashboard.theme import SERIES
from outbox import wording
from outbox.domain.plans import Channel
from outbox.domain.policy import default_policy


@pytest.mark.parametrize("channel", [*map(str, Channel), ""])
@pytest.mark.parametrize("outcome", ["delivered", "missed", "withdrawn", "open"])
def test_what_became_of_it_can_be_drawn(outcome: str, channel: str) -> None:
    row = Reached(
        bucket=datetime(2026, 11, 23, tzinfo=UTC),
        kind="checkin.missed",
        outcome=outcome,
        sent=True,
        first="sms",
        channel=channel,
        why="",
        country="US",
        n=1,
    )
    assert row.series in SERIES


def test_every_channel_and_kind_is_told_in_words() -> None:
    assert set(Channel) <= set(wording.CHANNELS)
    plans = set(default_policy().plans)
    # The plan of announcements to topics is none of a kind.
    assert plans - {"announcement.topic"} <= set(wording.KINDS)
