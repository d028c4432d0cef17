"""Quiet hours by the clock on the recipient's wall, over midnight and over changes of the clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbox.domain.quiet import parse, wait_s

_NIGHT = "21:00-08:00"
_NEW_YORK = ZoneInfo("America/New_York")


@pytest.mark.parametrize("text", ["", "21-8", "24:00-08:00", "21:00", "21:60-08:00", "21:00–08:00"])
def test_other_forms_are_none(text: str) -> None:
    assert parse(text) is None
    assert wait_s(text, "UTC", datetime.now(UTC)) == 0.0


@pytest.mark.parametrize(
    ("hours", "local", "until"),
    [
        (_NIGHT, "2026-11-23T20:59", None),
        (_NIGHT, "2026-11-23T21:00", "2026-11-24T08:00"),
        (_NIGHT, "2026-11-23T23:59", "2026-11-24T08:00"),
        (_NIGHT, "2026-11-24T00:00", "2026-11-24T08:00"),
        (_NIGHT, "2026-11-24T07:59", "2026-11-24T08:00"),
        (_NIGHT, "2026-11-24T08:00", None),
        ("12:00-14:00", "2026-11-23T13:00", "2026-11-23T14:00"),
        ("12:00-14:00", "2026-11-23T14:00", None),
        # The night in which the clock is put forward is an hour shorter, the other one longer.
        (_NIGHT, "2026-03-07T23:00", "2026-03-08T08:00"),
        (_NIGHT, "2026-10-31T23:00", "2026-11-01T08:00"),
    ],
)
def test_until_when_it_is_quiet(hours: str, local: str, until: str | None) -> None:
    now = datetime.fromisoformat(local).replace(tzinfo=_NEW_YORK)
    waited = wait_s(hours, "America/New_York", now.astimezone(UTC))
    if until is None:
        assert waited == 0.0
        return
    end = now.astimezone(UTC) + timedelta(seconds=waited)
    assert end.astimezone(_NEW_YORK).strftime("%Y-%m-%dT%H:%M") == until


@given(
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31)),  # noqa: DTZ001 - its zone follows
    st.sampled_from(["UTC", "America/New_York", "Asia/Kolkata", "Pacific/Apia", "Europe/Berlin"]),
    st.sampled_from([_NIGHT, "12:00-14:00", "00:00-06:00", "23:30-00:30"]),
)
def test_after_the_wait_it_is_not_quiet(naive: datetime, zone: str, hours: str) -> None:
    now = naive.replace(tzinfo=UTC)
    waited = wait_s(hours, zone, now)
    assert 0.0 <= waited <= 25 * 3600
    later = now + timedelta(seconds=waited)
    # A wall clock that is put forward may end up a little into the next second.
    assert wait_s(hours, zone, later + timedelta(seconds=1)) == 0.0
    assert not waited or wait_s(hours, zone, later - timedelta(seconds=1)) > 0.0
