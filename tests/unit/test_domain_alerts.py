"""One Member's life: whatever comes in whatever order, each is told once, and silence is paged."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from outbox.domain.alerts import LEAD, Alert, Decision, judge
from outbox.domain.ids import new_id
from outbox.domain.intake import CheckedIn, Missed, NewEvent, NewNotification

_START = datetime(2026, 11, 23, tzinfo=UTC)
_NOW = _START + timedelta(days=2)
_hours = st.integers(0, 12)
_contacts = st.lists(st.sampled_from(["c_1", "c_2", "c_3"]), unique=True)


def _at(hour: int) -> datetime:
    return _START + timedelta(hours=hour)


def _notification(recipient: str, kind: str = "checkin.missed") -> NewNotification:
    return NewNotification(
        id=new_id(0),
        recipient=recipient,
        kind=kind,
        lane=0,
        plan=b"",
        template=f"{kind}/1",
        locale="en",
        content=b"",
        expires_after_s=60,
    )


def _event(contacts: list[str], what: CheckedIn | Missed | None) -> NewEvent:
    return NewEvent(
        id=new_id(0),
        shard=0,
        key_shard=0,
        source="backend",
        source_id="e_1",
        type="checkin",
        subject="m_1",
        occurred_at=_START,
        content_hash=b"",
        traceparent=None,
        data=b"",
        keep_key=False,
        notifications=tuple(_notification(contact) for contact in contacts),
        rule=what,
    )


def _missed(contacts: list[str], hour: int) -> NewEvent:
    return _event(contacts, Missed(_at(hour), _notification("operator", "operator.page")))


def _confirmed(contacts: list[str], hour: int) -> NewEvent:
    return _event(contacts, CheckedIn(_at(hour)))


class LifeOfAMember(RuleBasedStateMachine):
    """Check-ins and missed ones as they may arrive: late, early, again, with somebody or nobody."""

    def __init__(self) -> None:
        super().__init__()
        self.alert = Alert()
        self.last_checkin: datetime | None = None
        self.missed_of_open: list[datetime] = []
        self.opened_by: UUID | None = None
        self.told: list[str] = []
        self.made: list[UUID] = []
        self.pages: list[UUID] = []

    def _judge(self, event: NewEvent) -> Decision:
        return judge(event, {"m_1": self.alert, "m_2": Alert()}, now=_NOW)

    @rule(hour=_hours, contacts=_contacts)
    def a_check_in_is_confirmed(self, hour: int, contacts: list[str]) -> None:
        event = _confirmed(contacts, hour)
        decision = self._judge(event)
        ends = bool(self.missed_of_open) and _at(hour) >= max(self.missed_of_open)
        ended = tuple(self.made + self.pages) if ends else ()
        assert decision == Decision(event.notifications, ended=ended)
        if self.last_checkin is None or _at(hour) > self.last_checkin:
            self.last_checkin = _at(hour)
        if self.missed_of_open and _at(hour) >= max(self.missed_of_open):
            self.missed_of_open, self.told, self.made, self.pages = [], [], [], []
            self.opened_by = None

    @rule(hour=_hours, contacts=_contacts)
    def a_check_in_is_missed(self, hour: int, contacts: list[str]) -> None:
        event = _missed(contacts, hour)
        assert isinstance(event.rule, Missed)
        decision = self._judge(event)
        late = self.last_checkin is not None and _at(hour) <= self.last_checkin
        # Superseded if and only if it is not younger than the last check-in known.
        assert decision.superseded == late
        if late:
            assert decision.notifications == event.notifications
            assert not decision.changed
            return
        self.missed_of_open.append(_at(hour))
        self.opened_by = self.opened_by or event.id
        pages = [n for n in decision.notifications if n.kind == "operator.page"]
        others = [n for n in decision.notifications if n.kind != "operator.page"]
        assert [n.recipient for n in others] == [c for c in contacts if c not in self.told]
        assert set(others) <= set(event.notifications)
        self.told += [n.recipient for n in others]
        self.made += [n.id for n in others]
        # The operator is told at once exactly when nobody else was, and only once.
        assert pages == ([event.rule.page] if not self.told and not self.pages else [])
        self.pages += [n.id for n in pages]
        assert decision.changed == (decision.notifications != event.notifications)

    @rule(contacts=_contacts)
    def something_else_happens(self, contacts: list[str]) -> None:
        event = _event(contacts, None)
        assert self._judge(event) == Decision(event.notifications)

    @invariant()
    def the_row_says_what_happened(self) -> None:
        assert self.alert == Alert(
            last_checkin_at=self.last_checkin,
            open_event=self.opened_by,
            open_due_at=max(self.missed_of_open, default=None),
            told=self.told,
            notifications=self.made,
            page=self.pages[0] if self.pages else None,
        )

    @invariant()
    def nobody_is_told_twice_of_one_alert(self) -> None:
        assert len(set(self.told)) == len(self.told) == len(self.made) == len(set(self.made))
        assert len(self.pages) <= 1

    @precondition(lambda self: self.missed_of_open)
    @invariant()
    def an_open_alert_has_somebody_who_knows(self) -> None:
        assert self.told or self.pages

    @invariant()
    def the_row_obeys_the_tables_constraints(self) -> None:
        alert = self.alert
        assert (alert.open_event is None) == (alert.open_due_at is None)
        if alert.open_event is None:
            assert (alert.told, alert.notifications, alert.page) == ([], [], None)

    @precondition(lambda self: self.missed_of_open and self.last_checkin is not None)
    @invariant()
    def an_open_alert_is_younger_than_every_check_in(self) -> None:
        assert self.last_checkin is not None
        assert max(self.missed_of_open) > self.last_checkin


TestLifeOfAMember = LifeOfAMember.TestCase


@given(_hours, _hours, _contacts)
def test_a_missed_and_a_made_check_in_end_the_same_whichever_comes_first(
    due: int, checkin: int, contacts: list[str]
) -> None:
    ends = []
    for missed_first in (True, False):
        alert = Alert()
        events = [_missed(contacts, due), _confirmed(contacts, checkin)]
        for event in events if missed_first else events[::-1]:
            judge(event, {"m_1": alert}, now=_NOW)
        ends.append((alert.last_checkin_at, alert.open_due_at, alert.told))
    assert ends[0] == ends[1]


@given(st.permutations(list(range(6))), st.lists(_hours, min_size=6, max_size=6))
def test_an_open_alert_is_open_in_any_order_of_what_came(
    order: list[int], hours: list[int]
) -> None:
    def opened(events: list[NewEvent]) -> tuple[datetime | None, bool]:
        alert = Alert()
        for event in events:
            judge(event, {"m_1": alert}, now=_NOW)
        return alert.last_checkin_at, alert.open_event is not None

    events = [
        (_missed if place % 2 else _confirmed)(["c_1"], hour) for place, hour in enumerate(hours)
    ]
    assert opened(events) == opened([events[place] for place in order])


@pytest.mark.parametrize("hour", [0, 1, 2])
def test_a_check_in_ends_the_alert_only_if_it_is_not_older_than_what_was_missed(hour: int) -> None:
    alert = Alert()
    judge(_missed(["c_1"], 1), {"m_1": alert}, now=_NOW)
    judge(_confirmed(["c_1"], hour), {"m_1": alert}, now=_NOW)
    assert (alert.open_event is None) == (hour >= 1)


def test_a_second_missed_one_tells_only_those_not_yet_told() -> None:
    alert = Alert()
    first = _missed(["c_1", "c_2"], 1)
    judge(first, {"m_1": alert}, now=_NOW)
    second = judge(_missed(["c_2", "c_3", "c_1"], 2), {"m_1": alert}, now=_NOW)
    assert [n.recipient for n in second.notifications] == ["c_3"]
    assert second.changed
    assert alert.open_event == first.id


def test_after_an_end_everybody_is_told_anew() -> None:
    alert = Alert()
    for event in (_missed(["c_1"], 1), _confirmed([], 2)):
        judge(event, {"m_1": alert}, now=_NOW)
    again = judge(_missed(["c_1"], 3), {"m_1": alert}, now=_NOW)
    assert [n.recipient for n in again.notifications] == ["c_1"]


def test_who_is_missed_with_nobody_to_tell_is_paged_once_until_it_ends() -> None:
    alert = Alert()
    events = [_missed([], 1), _missed([], 2), _confirmed([], 3), _missed([], 4)]
    kinds = [
        [n.kind for n in judge(event, {"m_1": alert}, now=_NOW).notifications] for event in events
    ]
    assert kinds == [["operator.page"], [], [], ["operator.page"]]


def test_one_alert_does_not_lend_its_lists_to_another() -> None:
    one, other = Alert(), Alert()
    judge(_missed(["c_1"], 1), {"m_1": one}, now=_NOW)
    assert (other.told, other.notifications) == ([], [])


def test_a_check_in_from_next_year_silences_nothing_after_now() -> None:
    alerts = {"m_1": Alert()}
    judge(_event([], CheckedIn(_NOW + timedelta(days=365))), alerts, now=_NOW)
    assert alerts["m_1"].last_checkin_at == _NOW + LEAD
    later = _NOW + timedelta(hours=1)
    page = _notification("operator", "operator.page")
    missed = judge(_event(["c_1"], Missed(later, page)), alerts, now=later)
    assert not missed.superseded
    assert [n.recipient for n in missed.notifications] == ["c_1"]


def test_a_missed_check_in_from_next_year_is_ended_by_a_real_one() -> None:
    alerts = {"m_1": Alert()}
    page = _notification("operator", "operator.page")
    ahead = _event(["c_1"], Missed(_NOW + timedelta(days=365), page))
    judge(ahead, alerts, now=_NOW)
    later = _NOW + timedelta(hours=1)
    checked_in = judge(_event(["c_1"], CheckedIn(later)), alerts, now=later)
    assert checked_in.ended == tuple(n.id for n in ahead.notifications)
    assert alerts["m_1"].open_event is None
