"""``/v1/receipts``: the app's word that a push came or was opened; its token is the permission."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, Response, Router, post
from litestar.params import RawBody
from msgspec import Meta, Struct

from gateway import examples
from gateway.callbacks import keep
from gateway.decoding import JSON, decode, require_media_type
from gateway.documented import Answer, Body, documented
from gateway.problems import FORGED, Problem
from gateway.resources import resources_of
from outbox.domain.callbacks import Callback
from outbox.domain.ids import SHARDS, shard_of_id
from outbox.domain.references import Purpose

_SOURCE = "app"


class PushReceipt(Struct, frozen=True, forbid_unknown_fields=True):
    """What the app says of a push."""

    receipt_token: Annotated[str, Meta(min_length=1, max_length=256)]
    """From the push's data, unchanged."""
    event: Literal["received", "opened"]


_decoder = msgspec.json.Decoder(PushReceipt)


@post(
    "/push",
    status_code=204,
    opt=documented(
        bodies={"application/json": Body(PushReceipt, {"it came": examples.PUSH_RECEIPT})},
        answers={204: Answer("Stored, now or before")},
        problems=(FORGED,),
    ),
)
async def push_receipt(request: Request[Any, Any, Any], body: RawBody) -> Response[None]:
    """Acknowledge a push. Repeatable; needs no key, as the token is the permission."""
    require_media_type(request.headers, JSON)
    receipt = decode(_decoder, body)
    resources = resources_of(request)
    reference = resources.signer.verify(receipt.receipt_token, Purpose.PUSH_RECEIPT)
    if reference is None or shard_of_id(reference.notification) >= SHARDS:
        resources.metrics.forged.labels(_SOURCE).inc()
        raise Problem(FORGED, "this receipt_token is not one of ours")
    callback = Callback(
        source=_SOURCE,
        status=receipt.event,
        notification=reference.notification,
        step=reference.step,
        fence=reference.fence,
        ordinal=reference.ordinal,
    )
    await keep(resources, callback, lane=reference.lane)
    return Response(None, status_code=204)


router = Router("/v1/receipts", route_handlers=[push_receipt], tags=["receipts"])
