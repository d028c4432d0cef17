"""Reading what became of an event or a notification; no sealed column is touched."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, and_, case, func, select

from observability.trace_context import parse
from outbox.domain import plans
from outbox.domain.ids import shard_of_id, time_of_id
from outbox.domain.states import Lane, live_state
from outbox.domain.timeline import Act, Call, Life, Receipt, tell
from outbox.store import tables
from outbox.store.reading import Reading
from outbox.store.views import Event, EventNotification, Notification, PlanStep

SKEW = timedelta(hours=1)
"""Ids are made by the clocks of several machines; bounds taken from times allow for this."""

_n, _d = tables.notification, tables.due
SUMMARY = (
    _n.c.id,
    _n.c.event,
    _n.c.kind,
    _n.c.subject,
    _n.c.recipient,
    _n.c.lane,
    _n.c.state,
    _n.c.reason,
    _n.c.proof,
    _n.c.channel,
    _n.c.steps_taken,
    _n.c.created_at,
    _n.c.final_at,
    _n.c.expires_at,
    _d.c.step,
    _d.c.work,
    _d.c.owner.is_not(None).label("claimed"),
    # Infinity has no place in a Python datetime, and means that nothing is planned.
    case((func.isfinite(_d.c.due_at), _d.c.due_at)).label("next_at"),
)
"""Columns that lists need, of a notification joined with its due row."""

OF_DUE = and_(_d.c.shard == _n.c.shard, _d.c.notification == _n.c.id)
"""Joins the due row, which a notification has unless it is final."""


def summary_of(row: RowMapping) -> dict[str, Any]:
    """The fields of a `Summary`, from a row of `SUMMARY`."""
    return {
        "id": row["id"],
        "event_id": row["event"],
        "kind": row["kind"],
        "subject": row["subject"],
        "recipient": row["recipient"],
        "lane": Lane(row["lane"]).name.lower(),
        "state": live_state(row["state"], work=row["work"], claimed=bool(row["claimed"])),
        "reason": row["reason"],
        "proof": row["proof"],
        "channel": row["channel"],
        "step": row["steps_taken"] if row["step"] is None else row["step"],
        "created_at": row["created_at"],
        "final_at": row["final_at"],
        "expires_at": row["expires_at"],
        "next_at": row["next_at"],
    }


def notification(notification_id: UUID) -> Reading[Notification | None]:
    """One notification with its story; null when there is none."""
    shard = shard_of_id(notification_id)
    rows = yield (
        select(*SUMMARY, _n.c.plan, _n.c.content_dropped_at)
        .select_from(_n.outerjoin(_d, OF_DUE))
        .where(_n.c.shard == shard, _n.c.id == notification_id)
    )
    if not rows:
        return None
    row = rows[0]
    origin = yield (
        select(tables.event.c.source, tables.event.c.source_id, tables.event.c.traceparent).where(
            tables.event.c.shard == shard,
            tables.event.c.id == row["event"],
        )
    )
    attempt = tables.attempt
    calls = yield (
        select(attempt)
        .where(attempt.c.shard == shard, attempt.c.notification == notification_id)
        .order_by(attempt.c.fence, attempt.c.ordinal, attempt.c.at)
    )
    receipt = tables.receipt
    receipts = yield (
        select(receipt)
        .where(receipt.c.shard == shard, receipt.c.notification == notification_id)
        .order_by(receipt.c.at, receipt.c.rank)
    )
    action = tables.action
    acts = yield (
        select(action)
        .where(action.c.shard == shard, action.c.notification == notification_id)
        .order_by(action.c.at, action.c.id)
    )
    plan = plans.decode(bytes(row["plan"]))
    summary = summary_of(row)
    life = Life(
        plan=plan,
        state=row["state"],
        reason=row["reason"],
        proof=row["proof"],
        channel=row["channel"],
        created_at=row["created_at"],
        final_at=row["final_at"],
        step=summary["step"],
        origin=" ".join(f"{o['source']} ({o['source_id']})" for o in origin) or "an event",
        calls=[_call(each) for each in calls],
        receipts=[_receipt(each) for each in receipts],
        acts=[Act(**{name: each[name] for name in Act.__struct_fields__}) for each in acts],
    )
    return Notification(
        **summary,
        attempts=sum(call.what == "send" for call in life.calls),
        plan=[
            PlanStep(
                channel=step.channel,
                receipt_within_s=step.receipt_within_s,
                retry_within_s=step.retry_within_s,
            )
            for step in plan.steps
        ],
        timeline=tell(life),
        texts_dropped_at=row["content_dropped_at"],
        trace_id=next((_trace_of(each) for each in origin), None),
    )


def _trace_of(row: RowMapping) -> str | None:
    context = parse(row["traceparent"])
    return None if context is None else f"{context.trace_id:032x}"


def _call(row: RowMapping) -> Call:
    named = {"attempt": row["try"], **row}
    return Call(**{name: named[name] for name in Call.__struct_fields__})


def _receipt(row: RowMapping) -> Receipt:
    return Receipt(**{name: row[name] for name in Receipt.__struct_fields__})


def event(event_id: UUID) -> Reading[Event | None]:
    """One event with its notifications; null when there is none."""
    shard = shard_of_id(event_id)
    table = tables.event
    rows = yield select(table).where(table.c.shard == shard, table.c.id == event_id)
    if not rows:
        return None
    made = yield (
        select(*SUMMARY)
        .select_from(_n.outerjoin(_d, OF_DUE))
        .where(
            _n.c.shard == shard,
            _n.c.event == event_id,
            # Made with the event or after it: older partitions need not be looked at.
            _n.c.id >= id_at(time_of_id(event_id), slack=SKEW),
        )
        .order_by(_n.c.id)
    )
    row = rows[0]
    summaries = [summary_of(each) for each in made]
    return Event(
        event_id=row["id"],
        id=row["source_id"],
        source=row["source"],
        type=row["type"],
        subject=row["subject"],
        occurred_at=row["occurred_at"],
        accepted_at=row["accepted_at"],
        notifications=[
            EventNotification(
                id=s["id"], recipient=s["recipient"], kind=s["kind"], state=s["state"]
            )
            for s in summaries
        ],
        trace_id=_trace_of(row),
    )


def id_at(moment: datetime, *, slack: timedelta = timedelta()) -> UUID:
    """Smallest id of this moment, or of ``slack`` before it."""
    milliseconds = int((moment.timestamp() - slack.total_seconds()) * 1000)
    return UUID(int=max(0, milliseconds) << 80)
