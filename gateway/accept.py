"""From decoded events to their answers: what is known of their Contacts, faults, the commit.

Every way of posting events ends here, so that all of them accept the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from gateway.faults import Known, faults_of, needs_lookup
from gateway.problems import KEY_REUSED, FieldError, Problem, invalid
from gateway.resources import Resources
from gateway.schemas import AnnouncementPublished, CheckinMissed, Event
from observability import tracing
from observability.tracing import SpanContext
from outbox.domain.intake import NewEvent
from outbox.domain.states import Lane
from outbox.store.intake import Accepted, ConflictError, Request
from outbox.store.recipients import find_recipients

MAX_RECIPIENTS = 5_000
"""Of all announcements of one request: they are prepared and committed at once."""

_HEAVIEST = 10_000
"""A request counts as no more, or it would never find room: of what is not urgent, 15,000 wait."""


def trace_of(headers: Mapping[str, str], events: Iterable[Event]) -> SpanContext | None:
    """The trace context that these events of one request are stored with.

    That of our own span, or, where nothing is traced, the caller's (W3C); null when that is none: a
    bad one refuses no event. ``headers`` by their names in lower case.
    """
    span = tracing.current()
    if span is None:
        given = headers.get("traceparent")
        return None if given is None else tracing.parse(given, headers.get("tracestate"))
    if any(isinstance(event, CheckinMissed) for event in events):
        span.keep()
    return span.context


async def known_to(resources: Resources, events: Iterable[Event]) -> dict[str, Known]:
    """Stored recipients for the Contacts of whom the events say no number; most need none.

    Raises a 400 `Problem` for announcements to more people than a request may name.
    """
    events = list(events)
    told = sum(recipients_of(event) for event in events)
    if told > MAX_RECIPIENTS:
        accepted = f"at most {MAX_RECIPIENTS} recipients in one request"
        raise invalid([FieldError("$", f"announcements to {told} recipients", accepted)])
    wanted = [contact for event in events for contact in needs_lookup(event)]
    if not wanted:
        return {}
    async with resources.engine.connect() as connection:
        return dict(await find_recipients(connection, resources.sealer, wanted))


def recipients_of(event: Event) -> int:
    """How many people an announcement names; 0 for anything else."""
    return len(event.data.recipients or ()) if isinstance(event, AnnouncementPublished) else 0


def errors_of(
    event: Event,
    known: dict[str, Known],
    *,
    index: int | None = None,
) -> list[FieldError]:
    """Everything that is wrong with an event beyond its structure; ``index`` in a batch."""
    return [
        FieldError(fault.path, fault.got, fault.accepted, index)
        for fault in faults_of(event, known)
    ]


def is_urgent(events: Sequence[NewEvent]) -> bool:
    """Whether they go before others that wait for their commit."""
    return any(
        event.keep_key or any(n.lane == Lane.SAFETY for n in event.notifications)
        for event in events
    )


def _weight(events: Iterable[NewEvent]) -> int:
    """Rows count, not events: one announcement may become 500 notifications."""
    return min(_HEAVIEST, sum(max(1, len(event.notifications)) for event in events))


_SAFETY = '"lane":"safety"'


async def commit(
    resources: Resources,
    events: tuple[NewEvent, ...],
    *,
    urgent: bool,
    batch: bool = False,
) -> list[Accepted]:
    """Store all of them or none, and wake the relays; the answers, in order.

    Raises a 422 `Problem` for a key with other content, `NotDurableError` when nothing is known
    to be stored, `DataRefusedError` for what Postgres does not take.
    """
    try:
        accepted = await resources.intake.submit(
            Request(events),
            weight=_weight(events),
            first=urgent,
        )
    except ConflictError as conflict:
        raise _reused(conflict.index if batch else None) from None
    lanes = {n.lane for event in events for n in event.notifications}
    # A check-in that ends an alert became all-clears, which nobody could know before its commit.
    urgent = urgent or any(_SAFETY in each.answer for each in accepted)
    for lane in lanes | ({int(Lane.SAFETY)} if urgent else set()):
        resources.waker.wake(lane)
    for event, answer in zip(events, accepted, strict=True):
        if not answer.duplicate:
            resources.metrics.events_accepted.labels(event.type).inc()
    return accepted


def _reused(index: int | None) -> Problem:
    error = FieldError(
        "$.id",
        "a source and id that came before with other content",
        "a new id, or exactly what was sent first",
        index,
    )
    where = "the event" if index is None else f"event {index}"
    detail = f"{where} repeats a source and id with other content; nothing was stored"
    return Problem(KEY_REUSED, detail, errors=[error])


def answer(accepted: Accepted, start: str = "") -> bytes:
    """The answer for one event, after members of the caller's own (``start``)."""
    # Put together from what is stored: the hot path encodes nothing twice.
    duplicate = "true" if accepted.duplicate else "false"
    return (
        f'{{{start}"event_id":"{accepted.event}","duplicate":{duplicate},'
        f'"notifications":{accepted.answer}}}'
    ).encode()
