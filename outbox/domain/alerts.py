"""The life of one Member, as a pure function of what is locked: check-ins, alerts, their ends."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

from msgspec import Struct

from outbox.domain.intake import CheckedIn, Missed, NewEvent, NewNotification


class Alert(Struct):
    """A Member's row, locked by the transaction that judges; changed in place."""

    last_checkin_at: datetime | None = None
    open_event: UUID | None = None
    open_due_at: datetime | None = None
    told: list[str] = []
    notifications: list[UUID] = []
    page: UUID | None = None

    def close(self) -> None:
        """End the open alert, if there is one."""
        self.open_event = self.open_due_at = self.page = None
        self.told, self.notifications = [], []


class Decision(Struct, frozen=True):
    """What an event really creates."""

    notifications: tuple[NewNotification, ...]
    superseded: bool = False
    """The notifications are created and cancelled at once."""
    changed: bool = False
    """They differ from those that were prepared."""
    ended: tuple[UUID, ...] = ()
    """Notifications of the alert that this event ends, its page included."""


LEAD = timedelta(minutes=10)
"""How far the backend's clock may be ahead of the database's."""


def judge(event: NewEvent, alerts: Mapping[str, Alert], *, now: datetime) -> Decision:
    """Decide what an event creates, and bring its Member's row up to date.

    A time further ahead than a clock can be counts as this moment: a check-in from next year would
    silence every alert until then, and a missed one could be ended by no check-in.
    """
    latest = now + LEAD
    if event.rule is None:
        return Decision(event.notifications)
    alert = alerts[event.subject]
    if isinstance(event.rule, CheckedIn):
        return _checked_in(event, min(event.rule.at, latest), alert)
    return _missed(event, event.rule, min(event.rule.due_at, latest), alert)


def _checked_in(event: NewEvent, at: datetime, alert: Alert) -> Decision:
    if alert.last_checkin_at is None or at > alert.last_checkin_at:
        alert.last_checkin_at = at
    if alert.open_due_at is None or at < alert.open_due_at:
        return Decision(event.notifications)
    ended = [*alert.notifications, *([alert.page] if alert.page else [])]
    alert.close()
    return Decision(event.notifications, ended=tuple(ended))


def _missed(event: NewEvent, rule: Missed, due_at: datetime, alert: Alert) -> Decision:
    if alert.last_checkin_at is not None and due_at <= alert.last_checkin_at:
        return Decision(event.notifications, superseded=True)
    told = set(alert.told)
    new = tuple(n for n in event.notifications if n.recipient not in told)
    if alert.open_event is None:
        alert.open_event = event.id
        alert.open_due_at = due_at
    elif alert.open_due_at is not None:
        # A check-in ends the alert only if it is later than every check-in missed so far.
        alert.open_due_at = max(alert.open_due_at, due_at)
    alert.told = [*alert.told, *(n.recipient for n in new)]
    alert.notifications = [*alert.notifications, *(n.id for n in new)]
    if not alert.notifications and alert.page is None:
        # Nobody to tell: the person on call is told at once.
        alert.page = rule.page.id
        return Decision((rule.page,), changed=True)
    return Decision(new, changed=len(new) != len(event.notifications))
