"""``/webhooks/twilio``: status callbacks, believed by their signature alone and stored first.

The signature covers the public address and every field, so what arrives here must be rebuilt
exactly as Twilio called it; the reference in the query says which call it is about.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from litestar import Request, Response, Router, post
from litestar.params import RawBody
from twilio.request_validator import RequestValidator

from gateway.callbacks import keep
from gateway.documented import Answer, documented
from gateway.problems import FORGED, FieldError, Problem, invalid
from gateway.resources import Resources, resources_of
from outbox.domain.callbacks import Callback
from outbox.domain.ids import SHARDS, shard_of_id
from outbox.domain.references import Purpose
from outbox.domain.states import Lane

_PROVIDER = "twilio"
_LONGEST = 64


class _Fields(dict[str, list[str]]):
    """Form fields; the validator asks repeated ones by this name."""

    def getlist(self, name: str) -> list[str]:
        return self.get(name, [])


def _fields(body: bytes) -> _Fields | None:
    try:
        pairs = parse_qsl(
            body.decode("utf-8"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=100,
        )
    except ValueError:
        return None
    fields = _Fields()
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    return fields


def _is_genuine(resources: Resources, request: Request[Any, Any, Any], fields: _Fields) -> bool:
    signature = request.headers.get("x-twilio-signature")
    if not signature or not signature.isascii():
        return False
    path = request.scope["path"]
    query = request.scope["query_string"].decode("latin-1")
    url = resources.settings.public_url + path + (f"?{query}" if query else "")
    # Every token is tried, so that timing tells nothing about which one fits.
    fitting = [
        RequestValidator(token).validate(url, fields, signature)
        for token in resources.settings.twilio_auth_token
    ]
    return any(fitting)


def _callback(resources: Resources, fields: _Fields, token: str | None) -> tuple[Callback, int]:
    flat = {name: values[-1] for name, values in fields.items()}
    reference = None
    if token is not None:
        reference = resources.signer.verify(token, Purpose.SMS_STATUS)
    if reference is not None and shard_of_id(reference.notification) >= SHARDS:
        reference = None
    status = flat.get("MessageStatus") or flat.get("SmsStatus")
    provider_id = flat.get("MessageSid") or flat.get("SmsSid")
    if not status or not provider_id or max(len(status), len(provider_id)) > _LONGEST:
        accepted = "MessageSid and MessageStatus"
        raise invalid([FieldError("form", "no message, or no status", accepted)])
    callback = Callback(
        source=_PROVIDER,
        status=status,
        provider_id=provider_id,
        code=flat.get("ErrorCode") or None,
        notification=reference.notification if reference else None,
        step=reference.step if reference else 0,
        fence=reference.fence if reference else 0,
        ordinal=reference.ordinal if reference else 0,
        raw=flat,
    )
    return callback, reference.lane if reference else int(Lane.TRANSACTIONAL)


@post(
    "/status",
    status_code=204,
    opt=documented(
        bodies={"application/x-www-form-urlencoded": dict[str, str]},
        security="twilioSignature",
        answers={204: Answer("Stored, now or before")},
        problems=(403,),
    ),
)
async def twilio_status(request: Request[Any, Any, Any], body: RawBody) -> Response[None]:
    """Take a status callback of Twilio. Forged: nothing is stored; repeated: nothing changes."""
    resources = resources_of(request)
    fields = _fields(body)
    if fields is None or not _is_genuine(resources, request, fields):
        resources.metrics.forged.labels(_PROVIDER).inc()
        raise Problem(FORGED, "this was not signed by the Twilio account that is configured here")
    callback, lane = _callback(resources, fields, request.query_params.get("ref"))
    await keep(resources, callback, lane=lane)
    return Response(None, status_code=204)


router = Router("/webhooks/twilio", route_handlers=[twilio_status], tags=["Provider callbacks"])
