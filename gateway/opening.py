"""``/v1/recipients/{id}/open``: a person opens a name and number; who and why is kept."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from litestar import Request, Router, post
from litestar.params import RawBody
from msgspec import Struct

from gateway import cards
from gateway import operating_examples as examples
from gateway.actions import Reason
from gateway.auth import requires
from gateway.decoding import JSON, decode, require_media_type
from gateway.documented import Answer, Body, documented
from gateway.problems import NOT_FOUND, Problem
from gateway.recipients import RecipientId
from gateway.resources import resources_of
from outbox.store import openings, recipients
from outbox.store.keys import Scope, StoredKey


class OpenedAnswer(Struct, frozen=True, kw_only=True):
    """What was sealed of a recipient."""

    id: str
    name: str | None
    phone: str | None
    opened_at: datetime
    """Under which it is kept who opened it, and why."""


_decoder = msgspec.json.Decoder(Reason)


@post(
    "/{recipient:str}/open",
    guards=[requires(Scope.RECIPIENTS)],
    status_code=200,
    opt=documented(
        scope=Scope.RECIPIENTS,
        bodies={"application/json": Body(Reason, {"reason": examples.OPEN})},
        answers={200: Answer("Opened", OpenedAnswer, examples={"a Contact": examples.OPENED})},
        problems=(NOT_FOUND,),
    ),
)
async def open_recipient(
    request: Request[Any, Any, Any], recipient: RecipientId, body: RawBody
) -> OpenedAnswer:
    """Open somebody's name and number. For people: who did it and why is kept for ever."""
    require_media_type(request.headers, JSON)
    wanted = decode(_decoder, body)
    cards.refuse(body)
    resources = resources_of(request)
    key: StoredKey = request.scope["auth"]
    # Committed before anything is shown: what cannot be kept is not opened.
    async with resources.engine.begin() as connection:
        found = await recipients.find_recipients(connection, resources.sealer, [recipient])
        if recipient not in found:
            raise Problem(NOT_FOUND, "no recipient is stored under this id")
        opened_at = await openings.record(
            connection,
            recipient,
            actor=f"key {key.id} ({key.name})",
            reason=wanted.reason,
        )
    opened = found[recipient]
    return OpenedAnswer(id=recipient, name=opened.name, phone=opened.phone, opened_at=opened_at)


router = Router("/v1/recipients", route_handlers=[open_recipient], tags=["recipients"])
