"""``/v1/callbacks``: genuine callbacks that could not be applied; what they said, and once more."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Router, get, post
from litestar.params import FromPath, QueryParameter, RawBody
from msgspec import Struct

from gateway import billing_examples, cards, examples
from gateway.actions import ActionAnswer, Reason
from gateway.auth import requires
from gateway.decoding import JSON, decode, require_media_type
from gateway.documented import Answer, Body, documented
from gateway.notifications import moment_of
from gateway.problems import NOT_FOUND, FieldError, Problem, invalid
from gateway.resources import Resources, resources_of
from outbox.domain.ids import parse_id
from outbox.domain.masking import masked
from outbox.sealing import UnsealError
from outbox.store import inbox_actions
from outbox.store.inbox_reads import (
    PROVIDERS,
    Failed,
    Kept,
    Redrive,
    Wanted,
    failures,
)
from outbox.store.inbox_reads import callback as read_callback
from outbox.store.keys import Scope, StoredKey
from outbox.store.listing import decode_cursor, encode_cursor
from outbox.store.reading import run_async

_log = logging.getLogger(__name__)

_MOST = 200
_reason = msgspec.json.Decoder(Reason)


class CallbackList(Struct, frozen=True):
    """A part of a list."""

    items: list[Failed]
    next: str | None
    """For ``cursor``, to get the part that follows; null when this is the last."""


class CallbackAnswer(Struct, frozen=True, kw_only=True):
    """A callback as the provider signed it, with everything masked that is of a person."""

    id: UUID
    provider: str
    said: str
    """What makes it unique; of Stripe the event's id."""
    state: str
    """``waiting``, ``applied`` or ``failed``."""
    received_at: datetime
    tried_at: datetime | None
    """The last time; null while it waits."""
    tries: int
    """How often it was tried to its end."""
    error: str | None
    """Why it could not be applied."""
    body: Any
    """Its JSON, where what is not known to be harmless is `•••`; null: erased, or unreadable."""
    redrives: list[Redrive]
    """Oldest first."""


@get(
    "/v1/callbacks",
    guards=[requires(Scope.READ)],
    opt=documented(
        scope=Scope.READ,
        answers={
            200: Answer(
                "Newest first",
                CallbackList,
                examples={
                    "the last part": {"items": [billing_examples.FAILED_CALLBACK], "next": None}
                },
            ),
        },
    ),
    tags=["callbacks"],
)
async def list_callbacks(
    request: Request[Any, Any, Any],
    provider: Annotated[
        str | None,
        QueryParameter(
            description="Only those of this provider", schema_extra={"enum": list(PROVIDERS)}
        ),
    ] = None,
    since: Annotated[
        str | None,
        QueryParameter(
            description="Only those received at or after this time",
            schema_extra={"format": "date-time"},
        ),
    ] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=_MOST)] = 50,
    cursor: Annotated[
        str | None,
        QueryParameter(max_length=64, description="`next` of the part before"),
    ] = None,
) -> CallbackList:
    """List callbacks that could not be applied. Newest first; none is lost, each can go again."""
    wanted = _wanted(provider, since, cursor, limit)
    async with resources_of(request).engine.connect() as connection:
        page = await run_async(connection, failures(wanted))
    after = None if page.next is None else encode_cursor(page.next)
    return CallbackList(page.items, after)


def _wanted(provider: str | None, since: str | None, cursor: str | None, limit: int) -> Wanted:
    faults = []
    if provider is not None and provider not in PROVIDERS:
        faults.append(FieldError("query.provider", "another value", " or ".join(PROVIDERS)))
    moment = moment_of(since, faults)
    before = None if cursor is None else decode_cursor(cursor)
    if cursor is not None and before is None:
        faults.append(FieldError("query.cursor", "another value", "`next` of the part before"))
    if faults:
        raise invalid(faults)
    return Wanted(provider=provider, since=moment, before=before, limit=limit)


@get(
    "/v1/callbacks/{callback_id:str}",
    guards=[requires(Scope.READ)],
    opt=documented(
        scope=Scope.READ,
        answers={
            200: Answer(
                "The callback",
                CallbackAnswer,
                examples={"one of Stripe": billing_examples.CALLBACK},
            ),
        },
        problems=(NOT_FOUND,),
    ),
    tags=["callbacks"],
)
async def get_callback(
    request: Request[Any, Any, Any], callback_id: FromPath[str]
) -> CallbackAnswer:
    """Read a callback with its masked body. Nothing of a person, a card or a secret is shown."""
    resources = resources_of(request)
    wanted = parse_id(callback_id)
    found = None
    if wanted is not None:
        async with resources.engine.connect() as connection:
            found = await run_async(connection, read_callback(wanted))
    if found is None:
        raise Problem(NOT_FOUND, _NO_SUCH)
    return CallbackAnswer(
        id=found.id,
        provider=found.provider,
        said=found.said,
        state=found.state,
        received_at=found.received_at,
        tried_at=found.done_at,
        tries=found.tries,
        error=found.note if found.state == "failed" else None,
        body=_body(resources, found),
        redrives=found.redrives,
    )


def _body(resources: Resources, found: Kept) -> Any:  # noqa: ANN401 - a JSON document
    if not found.body:
        return None
    try:
        row = str(found.id)
        plain = resources.sealer.unseal(found.body, table="inbox", row=row, field="body")
    except UnsealError:
        _log.error("callback %s cannot be unsealed with the keys that are set", found.id)
        return None
    return masked(plain)


@post(
    "/v1/callbacks/{callback_id:str}/redrive",
    guards=[requires(Scope.OPERATE)],
    status_code=200,
    opt=documented(
        scope=Scope.OPERATE,
        bodies={"application/json": Body(Reason, {"reason": examples.REASON})},
        answers={200: Answer("Back in the inbox, or what stands in the way", ActionAnswer)},
        problems=(NOT_FOUND,),
    ),
    tags=["callbacks"],
)
async def redrive_callback(
    request: Request[Any, Any, Any],
    callback_id: FromPath[str],
    body: RawBody,
) -> ActionAnswer:
    """Have a callback applied once more. `already_final`: it was applied, and stays so."""
    require_media_type(request.headers, JSON)
    wanted = decode(_reason, body)
    cards.refuse(body)
    resources = resources_of(request)
    key: StoredKey = request.scope["auth"]
    callback = parse_id(callback_id)
    done = None
    if callback is not None:
        async with resources.operators() as connection:
            done = await inbox_actions.redrive(
                connection,
                callback,
                actor=f"key {key.id} ({key.name})",
                reason=wanted.reason,
            )
    if done is None:
        raise Problem(NOT_FOUND, _NO_SUCH)
    resources.waker.wake_inbox()
    return ActionAnswer(id=str(done.id), result=done.result, state=done.state)


_NO_SUCH = "no callback has this id"

router = Router("/", route_handlers=[list_callbacks, get_callback, redrive_callback])
