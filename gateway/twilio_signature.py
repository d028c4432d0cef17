"""Whether a callback is Twilio's: by its signature alone, over the address exactly as it called it.

The public address comes from the settings, never from a header that a stranger may send.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from litestar import Request
from twilio.request_validator import RequestValidator

from gateway.problems import FORGED, Problem
from gateway.resources import Resources, resources_of

PROVIDER = "twilio"


class _Fields(dict[str, list[str]]):
    """Form fields; the validator asks repeated ones by this name."""

    def getlist(self, name: str) -> list[str]:
        return self.get(name, [])


def genuine_fields(request: Request[Any, Any, Any], body: bytes) -> Mapping[str, str]:
    """The form's fields, of a repeated one the last; a `Problem` when Twilio did not sign them."""
    resources = resources_of(request)
    fields = _fields(body)
    if fields is None or not _is_genuine(resources, request, fields):
        resources.metrics.forged.labels(PROVIDER).inc()
        raise Problem(FORGED, "this was not signed by the Twilio account that is configured here")
    return {name: values[-1] for name, values in fields.items()}


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
