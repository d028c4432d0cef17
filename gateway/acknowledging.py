"""``/v1/acknowledgements`` and ``/v1/alerts/…/acknowledge``: who is on call knows of what fires."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, Router, get, post
from litestar.params import FromPath, RawBody
from msgspec import Meta, Struct

from gateway import cards
from gateway import operating_examples as examples
from gateway.auth import requires
from gateway.decoding import JSON, decode, require_media_type
from gateway.documented import Answer, Body, documented
from gateway.problems import NOT_FOUND, Problem
from gateway.resources import resources_of
from observability.slos import definitions
from outbox.domain.acknowledging import LONGEST_S, Acknowledgement
from outbox.store import acknowledgements
from outbox.store.keys import Scope, StoredKey


class AcknowledgeWanted(Struct, frozen=True, forbid_unknown_fields=True):
    """What somebody knows of, why it may wait, and how long."""

    reason: Annotated[str, Meta(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]+\Z")]
    """Kept for ever with who and when."""
    for_s: Annotated[float, Meta(ge=0, le=LONGEST_S)]
    """Seconds, rounded down; 0 takes back what was acknowledged before."""
    label: Annotated[str, Meta(max_length=100, pattern=r"^[a-zA-Z0-9_.:-]*\Z")] = ""
    """What the alert is about, as the provider; of `Parked` the reason; empty where there is one
    of it only."""


class AcknowledgeAnswer(Struct, frozen=True, kw_only=True):
    """What came of it."""

    alert: str
    label: str
    result: Literal["acknowledged", "taken_back"]
    until: datetime | None
    """Null where it was taken back."""


class AcknowledgementList(Struct, frozen=True):
    """Those in force."""

    items: list[Acknowledgement]


_decoder = msgspec.json.Decoder(AcknowledgeWanted)


@get(
    "/v1/acknowledgements",
    guards=[requires(Scope.READ)],
    opt=documented(
        scope=Scope.READ,
        answers={
            200: Answer("All", AcknowledgementList, examples={"one": examples.ACKNOWLEDGEMENTS})
        },
    ),
    tags=["alerts"],
)
async def list_acknowledgements(request: Request[Any, Any, Any]) -> AcknowledgementList:
    """List what is acknowledged. Of alerts that fire, what somebody on call knows of."""
    async with resources_of(request).operators() as connection:
        return AcknowledgementList(await acknowledgements.read(connection))


@post(
    "/v1/alerts/{alert:str}/acknowledge",
    guards=[requires(Scope.OPERATE)],
    status_code=200,
    opt=documented(
        scope=Scope.OPERATE,
        bodies={
            "application/json": Body(AcknowledgeWanted, {"for two hours": examples.ACKNOWLEDGE})
        },
        answers={200: Answer("Acknowledged, or taken back", AcknowledgeAnswer)},
        problems=(NOT_FOUND,),
    ),
    tags=["alerts"],
)
async def acknowledge_alert(
    request: Request[Any, Any, Any], alert: FromPath[str], body: RawBody
) -> AcknowledgeAnswer:
    """Acknowledge an alert. Nobody is paged for it again until then, or until it fires anew."""
    require_media_type(request.headers, JSON)
    wanted = decode(_decoder, body)
    cards.refuse(body)
    if alert not in definitions().alerts:
        raise Problem(NOT_FOUND, "no such alert; runbooks/reference/slos.md lists them")
    key: StoredKey = request.scope["auth"]
    async with resources_of(request).operators() as connection:
        made = await acknowledgements.acknowledge(
            connection,
            alert,
            wanted.label,
            for_s=int(wanted.for_s),
            actor=f"key {key.id} ({key.name})",
            reason=wanted.reason,
        )
    return AcknowledgeAnswer(
        alert=alert,
        label=wanted.label,
        result="taken_back" if made is None else "acknowledged",
        until=None if made is None else made.until,
    )


router = Router("/", route_handlers=[list_acknowledgements, acknowledge_alert])
