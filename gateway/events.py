"""POST /v1/events: one CloudEvent or a batch, answered only after the commit that makes it last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from litestar import Request, Response, Router, post
from msgspec import Struct

from gateway import examples
from gateway.accept import answer, commit, errors_of, is_urgent, known_to, trace_of
from gateway.auth import requires
from gateway.decoding import decode, require_media_type
from gateway.documented import Answer, Body, documented
from gateway.prepare import prepare_all
from gateway.problems import KEY_REUSED, invalid
from gateway.resources import Resources, resources_of
from gateway.schemas import Batch, Event, many, one
from outbox.store.keys import Scope

_SINGLE = ("application/json", "application/cloudevents+json")
_BATCH = "application/cloudevents-batch+json"
PATH = "/v1/events"
REPLAY = {"Idempotent-Replay": "true"}
"""A header of answers that repeat an earlier one."""


class NotificationAnswer(Struct, frozen=True):
    """One notification that an event became."""

    id: str
    recipient: str
    kind: str
    lane: str


class EventAnswer(Struct, frozen=True):
    """What an accepted event became."""

    event_id: str
    """Names it from now on; not the id that the backend gave it."""
    duplicate: bool
    """It was accepted before: the ids are the same as then."""
    notifications: list[NotificationAnswer]


class BatchAnswer(Struct, frozen=True):
    """Answers for a batch, in its order."""

    results: list[EventAnswer]


async def accept_one(
    resources: Resources,
    headers: Mapping[str, str],
    raw: bytes,
) -> tuple[bytes, bool]:
    """The answer to one event after its commit, and whether it repeats an earlier one.

    ``headers`` by their names in lower case. Raises what the route's problems are made of.
    """
    require_media_type(headers, _SINGLE)
    answers, replay = await _accept(resources, [decode(one, raw)], headers, batch=False)
    return answers[0], replay


async def _accept(
    resources: Resources,
    events: Sequence[Event],
    headers: Mapping[str, str],
    *,
    batch: bool,
) -> tuple[list[bytes], bool]:
    known = await known_to(resources, events)
    errors = [
        error
        for index, event in enumerate(events)
        for error in errors_of(event, known, index=index if batch else None)
    ]
    if errors:
        raise invalid(errors)
    prepared = prepare_all(resources.preparer, events, known, trace_of(headers, events))
    accepted = await commit(resources, prepared, urgent=is_urgent(prepared), batch=batch)
    return [answer(each) for each in accepted], all(each.duplicate for each in accepted)


@post(
    PATH,
    guards=[requires(Scope.EVENTS)],
    status_code=202,
    opt=documented(
        scope=Scope.EVENTS,
        bodies={
            **{each: Body(Event, examples.EVENTS) for each in _SINGLE},
            _BATCH: Body(Batch, examples.BATCH),
        },
        answers={
            202: Answer(
                "Committed, with everything that is to be sent; for a batch all of it",
                (EventAnswer, BatchAnswer),
                examples={
                    "one event": examples.ACCEPTED,
                    "the same again": examples.REPLAYED,
                    "a batch": {"results": [examples.ACCEPTED]},
                },
                headers={"Idempotent-Replay": "`true` if all of it was accepted before"},
            ),
        },
        problems=(KEY_REUSED,),
    ),
    tags=["events"],
)
async def post_events(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Post one event or a batch. 202 means that all that follows from it is committed.

    A CloudEvents 1.0 JSON event, or up to 500 as `application/cloudevents-batch+json`, where one
    bad event refuses all. Idempotent by `source` and `id`: the same content again changes nothing
    and is answered with the same ids, other content is refused. Extension attributes are ignored;
    unknown fields inside `data` are refused.
    """
    resources = resources_of(request)
    headers = request.headers
    batch = require_media_type(headers, (*_SINGLE, _BATCH)) == _BATCH
    raw = await request.body()
    if batch:
        events = decode(many, raw, batch=True)
        answers, replay = await _accept(resources, events, headers, batch=True)
        body = b'{"results":[' + b",".join(answers) + b"]}"
    else:
        body, replay = await accept_one(resources, headers, raw)
    return Response(
        body,
        status_code=202,
        media_type="application/json",
        headers=REPLAY if replay else None,
    )


router = Router("/", route_handlers=[post_events])
