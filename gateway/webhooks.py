"""``/webhooks/twilio``: status callbacks, believed by their signature alone and stored first.

The reference in the query says which call a callback is about, before or without the SID.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from litestar import Request, Response, Router, post
from litestar.params import RawBody

from gateway import examples
from gateway.callbacks import keep
from gateway.documented import Answer, Body, documented
from gateway.problems import FORGED, FieldError, invalid
from gateway.resources import Resources, resources_of
from gateway.twilio_signature import PROVIDER, genuine_fields
from outbox.domain.callbacks import Callback
from outbox.domain.ids import SHARDS, shard_of_id
from outbox.domain.references import Purpose
from outbox.domain.states import Lane

_LONGEST = 64


def _callback(
    resources: Resources,
    fields: Mapping[str, str],
    token: str | None,
) -> tuple[Callback, int]:
    reference = None
    if token is not None:
        reference = resources.signer.verify(token, Purpose.SMS_STATUS)
    if reference is not None and shard_of_id(reference.notification) >= SHARDS:
        reference = None
    status = fields.get("MessageStatus") or fields.get("SmsStatus")
    provider_id = fields.get("MessageSid") or fields.get("SmsSid")
    if not status or not provider_id or max(len(status), len(provider_id)) > _LONGEST:
        accepted = "MessageSid and MessageStatus"
        raise invalid([FieldError("form", "no message, or no status", accepted)])
    callback = Callback(
        source=PROVIDER,
        status=status,
        provider_id=provider_id,
        code=fields.get("ErrorCode") or None,
        notification=reference.notification if reference else None,
        step=reference.step if reference else 0,
        fence=reference.fence if reference else 0,
        ordinal=reference.ordinal if reference else 0,
        raw=dict(fields),
    )
    return callback, reference.lane if reference else int(Lane.TRANSACTIONAL)


@post(
    "/status",
    status_code=204,
    opt=documented(
        bodies={
            "application/x-www-form-urlencoded": Body(
                dict[str, str],
                {"undelivered": examples.TWILIO_STATUS},
            ),
        },
        security="twilioSignature",
        answers={204: Answer("Stored, now or before")},
        problems=(FORGED,),
    ),
)
async def twilio_status(request: Request[Any, Any, Any], body: RawBody) -> Response[None]:
    """Take a status callback of Twilio. Forged: nothing is stored; repeated: nothing changes."""
    fields = genuine_fields(request, body)
    resources = resources_of(request)
    callback, lane = _callback(resources, fields, request.query_params.get("ref"))
    await keep(resources, callback, lane=lane)
    return Response(None, status_code=204)


router = Router("/webhooks/twilio", route_handlers=[twilio_status], tags=["callbacks"])
