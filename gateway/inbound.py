"""``/webhooks/twilio/inbound``: texts from people, believed by their signature and stored first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from litestar import Request, Response, Router, post
from litestar.params import RawBody

from gateway import examples
from gateway.callbacks import keep_text
from gateway.documented import Answer, Body, documented
from gateway.problems import FORGED, FieldError, invalid
from gateway.resources import resources_of
from gateway.twilio_signature import genuine_fields
from outbox.domain.inbound import Inbound

_LONGEST = 64
_LONGEST_BODY = 10_000
_OptOut = Literal["STOP", "START", "HELP"]
_NOTHING_TO_SAY = b'<?xml version="1.0" encoding="UTF-8"?><Response/>'
"""TwiML without an answer: Twilio itself answers the words that it knows."""


def _text(fields: Mapping[str, str]) -> Inbound:
    phone, sid = fields.get("From", ""), fields.get("MessageSid") or fields.get("SmsSid") or ""
    if not phone or not sid or max(len(phone), len(sid)) > _LONGEST:
        accepted = "From and MessageSid"
        raise invalid([FieldError("form", "no sender, or no message", accepted)])
    opt_out: _OptOut | None = None
    try:
        opt_out = msgspec.convert(fields.get("OptOutType"), _OptOut | None)
    except msgspec.ValidationError:
        # A type that is not known yet: the words themselves are looked at.
        opt_out = None
    return Inbound(
        phone=phone,
        to=fields.get("To", "")[:_LONGEST],
        body=fields.get("Body", "")[:_LONGEST_BODY].replace("\0", ""),
        provider_id=sid,
        opt_out=opt_out,
    )


@post(
    "/inbound",
    status_code=200,
    opt=documented(
        bodies={
            "application/x-www-form-urlencoded": Body(
                dict[str, str],
                {"stop": examples.TWILIO_INBOUND},
            ),
        },
        security="twilioSignature",
        answers={200: Answer("Stored, now or before; TwiML that says nothing", str, "text/xml")},
        problems=(FORGED,),
    ),
)
async def twilio_inbound(request: Request[Any, Any, Any], body: RawBody) -> Response[bytes]:
    """Take a text that somebody sent us. Forged: nothing is stored; repeated: nothing changes."""
    text = _text(genuine_fields(request, body))
    await keep_text(resources_of(request), text)
    return Response(_NOTHING_TO_SAY, media_type="text/xml")


router = Router("/webhooks/twilio", route_handlers=[twilio_inbound], tags=["callbacks"])
