"""POST /v1/events: one CloudEvent or a batch, answered only after the commit that makes it last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from litestar import Request, Response, Router, post
from msgspec import Struct

from gateway.auth import requires
from gateway.decoding import decode, require_media_type
from gateway.prepare import Known, Preparer, faults_of, needs_lookup, prepare_all
from gateway.problems import KEY_REUSED, FieldError, Problem, invalid
from gateway.resources import Resources, resources_of
from gateway.schemas import Event, many, one
from outbox.domain.intake import NewEvent
from outbox.domain.states import Lane
from outbox.store.intake import Accepted, ConflictError
from outbox.store.intake import Request as IntakeRequest
from outbox.store.keys import Scope
from outbox.store.recipients import find_recipients

_SINGLE = ("application/json", "application/cloudevents+json")
_BATCH = "application/cloudevents-batch+json"
_REPLAY = {"Idempotent-Replay": "true"}


class NotificationAnswer(Struct, frozen=True):
    """One notification that an event became."""

    id: str
    recipient: str
    kind: str
    lane: str


class EventAnswer(Struct, frozen=True):
    """What an accepted event became."""

    event_id: str
    duplicate: bool
    notifications: list[NotificationAnswer]


class BatchAnswer(Struct, frozen=True):
    """Answers for a batch, in its order."""

    results: list[EventAnswer]


def _answer(accepted: Accepted) -> bytes:
    # Put together from what is stored: the hot path encodes nothing twice.
    duplicate = "true" if accepted.duplicate else "false"
    return (
        f'{{"event_id":"{accepted.event}","duplicate":{duplicate},'
        f'"notifications":{accepted.answer}}}'
    ).encode()


def _refuse_faulty(events: Sequence[Event], known: dict[str, Known], *, batch: bool) -> None:
    errors = [
        FieldError(fault.path, fault.got, fault.accepted, index if batch else None)
        for index, event in enumerate(events)
        for fault in faults_of(event, known)
    ]
    if errors:
        raise invalid(errors)


async def _known(resources: Resources, events: Sequence[Event]) -> dict[str, Known]:
    """Stored recipients for the Contacts of whom the events say no number; most need none."""
    wanted = [contact for event in events for contact in needs_lookup(event)]
    if not wanted:
        return {}
    async with resources.engine.connect() as connection:
        return dict(await find_recipients(connection, resources.sealer, wanted))


async def _commit(
    resources: Resources,
    events: tuple[NewEvent, ...],
    *,
    batch: bool,
) -> list[Accepted]:
    lanes = {n.lane for event in events for n in event.notifications}
    urgent = Lane.SAFETY in lanes or any(event.keep_key for event in events)
    try:
        accepted = await resources.intake.submit(
            IntakeRequest(events),
            weight=len(events),
            first=urgent,
        )
    except ConflictError as conflict:
        error = FieldError(
            "$.id",
            "a source and id that came before with other content",
            "a new id, or exactly what was sent first",
            conflict.index if batch else None,
        )
        where = f"event {conflict.index}" if batch else "the event"
        detail = f"{where} repeats a source and id with other content; nothing was stored"
        raise Problem(KEY_REUSED, detail, errors=[error]) from None
    for lane in lanes | ({int(Lane.SAFETY)} if urgent else set()):
        resources.waker.wake(lane)
    for event, answer in zip(events, accepted, strict=True):
        if not answer.duplicate:
            resources.metrics.events_accepted.labels(event.type).inc()
    return accepted


@post(
    "/v1/events",
    guards=[requires(Scope.EVENTS)],
    status_code=202,
    operation_id="PostEvents",
    tags=["events"],
    summary="Post one event or a batch",
    description=(
        "Takes a CloudEvents 1.0 JSON event, or up to 500 as application/cloudevents-batch+json. "
        "202 means that the event and all that is to be sent for it are committed. Idempotent by "
        "source and id; in a batch one bad event refuses all."
    ),
)
async def post_events(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Accept events."""
    resources = resources_of(request)
    media = require_media_type(request.headers.get("content-type"), (*_SINGLE, _BATCH))
    batch = media == _BATCH
    raw = await request.body()
    events = tuple(decode(many, raw, batch=True)) if batch else (decode(one, raw),)
    known = await _known(resources, events)
    _refuse_faulty(events, known, batch=batch)
    prepared = prepare_all(
        Preparer(resources.sealer),
        events,
        known,
        request.headers.get("traceparent"),
    )
    accepted = await _commit(resources, prepared, batch=batch)
    answers = [_answer(each) for each in accepted]
    body = b'{"results":[' + b",".join(answers) + b"]}" if batch else answers[0]
    replay = all(each.duplicate for each in accepted)
    return Response(
        body,
        status_code=202,
        media_type="application/json",
        headers=_REPLAY if replay else None,
    )


router = Router("/", route_handlers=[post_events])

