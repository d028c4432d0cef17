"""Intake: a batch of accepted events becomes one transaction, keys first, then the rest.

The Member's alert row is locked before anything is decided from it, so that a missed check-in
and a check-in that arrive together are always judged one after the other.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from uuid import UUID

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from outbox.domain.alerts import Alert, Decision, judge
from outbox.domain.intake import CheckedIn, NewEvent, NewNotification, answer_of
from outbox.store.all_clear import CHECKED_IN, ClearDraft, Ending, end
from outbox.store.connect import Connection
from outbox.store.group_commit import RefusedError
from outbox.store.intake_rows import b64, due_row, event_row, notification_row
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
    new: bool


def _rows(rows: Sequence[object]) -> dict[str, str]:
    return {"rows": msgspec.json.encode(rows).decode()}


Record = Callable[[Connection, Sequence[NewEvent]], Awaitable[None]]
"""Writes what new events say of something else than alerts."""


async def write(
    connection: Connection,
    requests: Sequence[Request],
    *,
    clear: ClearDraft,
    record: Record | None = None,
) -> list[list[Accepted]]:
    """Store the requests in the open transaction; one list of answers per request.

    ``clear`` makes the all-clear for somebody whom an alert may have reached; ``record`` is needed
    for events with a fact. Raises
    `ConflictError` when a key is taken by other content: the caller runs the batch again without
    that request.
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
        (row[0], row[1]): _Key(row[2], bytes(row[3]), *row[4:])
        for row in await keys_cursor.fetchall()
    }
    _refuse_conflicts(requests, keys)
    alerts: dict[str, Alert] = {}
    now = datetime.now(UTC)
    if alerts_cursor is not None:
        locked = await alerts_cursor.fetchall()
        alerts = {row[0]: Alert(*row[1:-1]) for row in locked}
        # What is ahead of its time is judged by the database's clock.
        now = locked[0][-1]
    fresh = [event for key, event in first.items() if keys[key].new]
    decisions = {event.id: judge(event, alerts, now=now) for event in fresh}
    withdrawn = await _end_alerts(connection, fresh, decisions, clear)
    facts = [event for event in fresh if event.fact is not None]
    if facts:
        if record is None:
            msg = "an event with a fact, and nobody who records it"
            raise LookupError(msg)
        await record(connection, facts)
    await _insert(connection, fresh, decisions, alerts, withdrawn)
    seen: set[UUID] = set()
    return [[_answer(event, keys, decisions, seen) for event in r.events] for r in requests]


def _key_rows(first: dict[tuple[str, str], NewEvent]) -> list[dict[str, object]]:
    return [
        {
            "shard": event.key_shard,
            "source": event.source,
            "source_id": event.source_id,
            "event": event.id,
            "content_hash": b64(event.content_hash),
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


async def _end_alerts(
    connection: Connection,
    fresh: Sequence[NewEvent],
    decisions: dict[UUID, Decision],
    clear: ClearDraft,
) -> frozenset[UUID]:
    """End the alerts that check-ins end; returns notifications of this very batch that never begin.

    Decisions are changed in place: who gets an all-clear gets no note of the check-in.
    """
    new = {n.id for decision in decisions.values() for n in decision.notifications}
    overtaken: set[UUID] = set()
    for event in sorted(fresh, key=lambda each: (each.shard, each.subject)):
        decision = decisions[event.id]
        if not isinstance(event.rule, CheckedIn) or not decision.ended:
            continue
        overtaken |= new.intersection(decision.ended)
        stored = tuple(each for each in decision.ended if each not in new)
        if not stored:
            continue
        ended = await end(connection, Ending(event.shard, stored, event.rule.at), draft=clear)
        told = {each.recipient for each in ended.all_clears}
        notes = [each for each in decision.notifications if each.recipient not in told]
        decisions[event.id] = replace(
            decision,
            notifications=(*ended.all_clears, *notes),
            changed=decision.changed or bool(told),
        )
    return frozenset(overtaken)


async def _insert(
    connection: Connection,
    fresh: Sequence[NewEvent],
    decisions: dict[UUID, Decision],
    alerts: dict[str, Alert],
    overtaken: frozenset[UUID],
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
            notifications.append(
                notification_row(
                    notification,
                    shard=event.shard,
                    event=event.id,
                    subject=event.subject,
                    cancelled=_why_cancelled(notification, decision, overtaken),
                ),
            )
            if not decision.superseded and notification.id not in overtaken:
                due.append(due_row(notification, shard=event.shard))
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
        ("intake_events", [event_row(event) for event in fresh]),
        ("intake_alerts", [touched[key] for key in sorted(touched)]),
        ("intake_notifications", notifications),
        ("intake_due", due),
        ("intake_answers", answers),
    ):
        if rows:
            await connection.execute(statement(name), _rows(rows))


def _why_cancelled(
    notification: NewNotification,
    decision: Decision,
    overtaken: frozenset[UUID],
) -> str | None:
    """Why a notification is cancelled as it comes; null when it is not."""
    if decision.superseded:
        return "superseded"
    return CHECKED_IN if notification.id in overtaken else None
