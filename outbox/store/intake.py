"""Intake: a batch of accepted events becomes one transaction, keys first, then the rest.

The Member's alert row is locked before anything is decided from it, so that a missed check-in
and a check-in that arrive together are always judged one after the other.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from uuid import UUID

import msgspec
from msgspec import Struct

from outbox.domain.alerts import Alert, Decision, judge
from outbox.domain.intake import NewEvent, NewNotification, answer_of
from outbox.store.connect import Connection
from outbox.store.group_commit import RefusedError
from outbox.store.sql import statement


class Request(Struct, frozen=True):
    """The events of one HTTP request: stored all, or none."""

    events: tuple[NewEvent, ...]


class Accepted(Struct, frozen=True):
    """Answer for one event, after its commit."""

    event: UUID
    duplicate: bool
    answer: str
    """Its notifications as JSON, as first answered."""


class ConflictError(RefusedError):
    """The key of one event is taken by other content; nothing of its request is stored."""

    def __init__(self, index: int) -> None:
        """``index`` is the event's position in the request."""
        super().__init__(f"event {index} repeats a key with other content")
        self.index = index


class _Key(Struct, frozen=True):
    event: UUID
    content_hash: bytes
    answer: str


def _rows(rows: Sequence[object]) -> dict[str, str]:
    return {"rows": msgspec.json.encode(rows).decode()}


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


async def write(connection: Connection, requests: Sequence[Request]) -> list[list[Accepted]]:
    """Store the requests in the open transaction; one list of answers per request.

    Raises `ConflictError` when a key is taken by other content: the caller runs the batch again
    without that request.
    """
    first: dict[tuple[str, str], NewEvent] = {}
    for request in requests:
        for event in request.events:
            first.setdefault((event.source, event.source_id), event)
    # Both statements go out before the first answer is awaited: one round trip.
    keys_cursor = await connection.execute(statement("intake_keys"), _rows(_key_rows(first)))
    members = sorted({(e.shard, e.subject) for e in first.values() if e.rule is not None})
    alerts_cursor = (
        await connection.execute(
            statement("intake_lock_alerts"),
            _rows([{"shard": shard, "member": member} for shard, member in members]),
        )
        if members
        else None
    )
    keys = {
        (row[0], row[1]): _Key(row[2], bytes(row[3]), row[4])
        for row in await keys_cursor.fetchall()
    }
    _refuse_conflicts(requests, keys)
    alerts: dict[str, Alert] = {}
    if alerts_cursor is not None:
        alerts = {row[0]: Alert(*row[1:]) for row in await alerts_cursor.fetchall()}
    fresh = [event for key, event in first.items() if keys[key].event == event.id]
    decisions = {event.id: judge(event, alerts) for event in fresh}
    await _insert(connection, fresh, decisions, alerts)
    seen: set[UUID] = set()
    return [[_answer(event, keys, decisions, seen) for event in r.events] for r in requests]


def _key_rows(first: dict[tuple[str, str], NewEvent]) -> list[dict[str, object]]:
    return [
        {
            "shard": event.key_shard,
            "source": event.source,
            "source_id": event.source_id,
            "event": event.id,
            "content_hash": _b64(event.content_hash),
            "answer": answer_of(event.notifications),
            "keep": event.keep_key,
        }
        for event in sorted(first.values(), key=lambda e: (e.key_shard, e.source, e.source_id))
    ]


def _refuse_conflicts(requests: Sequence[Request], keys: dict[tuple[str, str], _Key]) -> None:
    for request in requests:
        for index, event in enumerate(request.events):
            if keys[event.source, event.source_id].content_hash != event.content_hash:
                raise ConflictError(index)


def _answer(
    event: NewEvent,
    keys: dict[tuple[str, str], _Key],
    decisions: dict[UUID, Decision],
    seen: set[UUID],
) -> Accepted:
    key = keys[event.source, event.source_id]
    decision = decisions.get(key.event)
    # Twice in one transaction: the first is new, the others repeat it.
    duplicate = key.event != event.id or event.id in seen
    seen.add(key.event)
    answer = key.answer if decision is None else answer_of(decision.notifications)
    return Accepted(key.event, duplicate, answer)


def _event_row(event: NewEvent) -> dict[str, object]:
    return {
        "shard": event.shard,
        "id": event.id,
        "source": event.source,
        "source_id": event.source_id,
        "type": event.type,
        "subject": event.subject,
        "occurred_at": event.occurred_at,
        "content_hash": _b64(event.content_hash),
        "traceparent": event.traceparent,
        "data": _b64(event.data),
    }


def _notification_row(
    event: NewEvent,
    notification: NewNotification,
    superseded: bool,  # noqa: FBT001 - private, one caller
) -> dict[str, object]:
    return {
        "shard": event.shard,
        "id": notification.id,
        "event": event.id,
        "subject": event.subject,
        "recipient": notification.recipient,
        "kind": notification.kind,
        "lane": notification.lane,
        "plan": _b64(notification.plan),
        "template": notification.template,
        "locale": notification.locale,
        "content": _b64(notification.content),
        "state": "cancelled" if superseded else "open",
        "reason": "superseded" if superseded else None,
        "expires_after_s": notification.expires_after_s,
    }


async def _insert(
    connection: Connection,
    fresh: Sequence[NewEvent],
    decisions: dict[UUID, Decision],
    alerts: dict[str, Alert],
) -> None:
    if not fresh:
        return
    notifications: list[dict[str, object]] = []
    due: list[dict[str, object]] = []
    answers: list[dict[str, object]] = []
    touched: dict[tuple[int, str], dict[str, object]] = {}
    for event in fresh:
        decision = decisions[event.id]
        for notification in decision.notifications:
            notifications.append(_notification_row(event, notification, decision.superseded))
            if not decision.superseded:
                due.append(
                    {
                        "shard": event.shard,
                        "notification": notification.id,
                        "lane": notification.lane,
                        "step": notification.first_step,
                    },
                )
        if decision.changed:
            answers.append(
                {
                    "shard": event.key_shard,
                    "source": event.source,
                    "source_id": event.source_id,
                    "answer": answer_of(decision.notifications),
                },
            )
        if event.rule is not None:
            touched[event.shard, event.subject] = {
                "shard": event.shard,
                "member": event.subject,
                **msgspec.structs.asdict(alerts[event.subject]),
            }
    for name, rows in (
        ("intake_events", [_event_row(event) for event in fresh]),
        ("intake_alerts", [touched[key] for key in sorted(touched)]),
        ("intake_notifications", notifications),
        ("intake_due", due),
        ("intake_answers", answers),
    ):
        if rows:
            await connection.execute(statement(name), _rows(rows))

