"""``/v1/notifications/{id}/cancel`` and ``…/redrive``: what a person does to one notification."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import msgspec
from litestar import Request, Router, post
from litestar.params import FromPath, RawBody
from msgspec import Meta, Struct

from gateway import cards, examples
from gateway.auth import requires
from gateway.decoding import JSON, decode, require_media_type
from gateway.documented import Answer, Body, documented
from gateway.problems import NOT_FOUND, Problem
from gateway.resources import resources_of
from outbox.domain.ids import parse_id
from outbox.store import actions
from outbox.store.actions import Done
from outbox.store.keys import Scope, StoredKey


class Reason(Struct, frozen=True, forbid_unknown_fields=True):
    """Why: kept for ever with who and when."""

    reason: Annotated[str, Meta(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]+\Z")]


class ActionAnswer(Struct, frozen=True, kw_only=True):
    """What came of it."""

    id: str
    result: str
    """``cancelled`` or ``redriven``; ``in_flight``; ``already_final``."""
    state: str
    """After it; of a notification as everywhere, of a callback ``waiting`` or ``applied``."""


_decoder = msgspec.json.Decoder(Reason)
_GUARDS = [requires(Scope.OPERATE)]
_Act = Callable[..., Awaitable[Done | None]]


def _documented(text: str) -> dict[str, Any]:
    return documented(
        scope=Scope.OPERATE,
        bodies={"application/json": Body(Reason, {"reason": examples.REASON})},
        answers={200: Answer(text, ActionAnswer)},
        problems=(NOT_FOUND,),
    )


async def _act(
    request: Request[Any, Any, Any],
    notification: str,
    body: bytes,
    act: _Act,
) -> ActionAnswer:
    require_media_type(request.headers, JSON)
    wanted = decode(_decoder, body)
    cards.refuse(body)
    resources = resources_of(request)
    key: StoredKey = request.scope["auth"]
    notification_id = parse_id(notification)
    done = None
    if notification_id is not None:
        async with resources.operators() as connection:
            done = await act(
                connection,
                notification_id,
                actor=f"key {key.id} ({key.name})",
                reason=wanted.reason,
            )
    if done is None:
        raise Problem(NOT_FOUND, "no notification has this id")
    resources.waker.wake(done.lane)
    state = "pending" if done.state == "open" else done.state
    if done.result is actions.Result.IN_FLIGHT:
        state = "sending"
    return ActionAnswer(id=str(done.id), result=done.result, state=state)


@post(
    "/{notification:str}/cancel",
    guards=_GUARDS,
    status_code=200,
    opt=_documented("Withdrawn, or what stands in the way"),
)
async def cancel(
    request: Request[Any, Any, Any],
    notification: FromPath[str],
    body: RawBody,
) -> ActionAnswer:
    """Withdraw a notification. `in_flight`: a call was begun; no further one is started."""
    return await _act(request, notification, body, actions.cancel)


@post(
    "/{notification:str}/redrive",
    guards=_GUARDS,
    status_code=200,
    opt=_documented("Back at work, or what stands in the way"),
)
async def redrive(
    request: Request[Any, Any, Any],
    notification: FromPath[str],
    body: RawBody,
) -> ActionAnswer:
    """Put a notification back to work. From its first step; it was parked, or reached nobody."""
    return await _act(request, notification, body, actions.redrive)


router = Router("/v1/notifications", route_handlers=[cancel, redrive], tags=["notifications"])
