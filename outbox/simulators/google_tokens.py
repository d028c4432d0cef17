"""Google's token endpoint: takes a service account's signed assertion, gives an access token.

A token proves itself, so it outlives a restart of the simulator, as a real one would.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import time
from collections.abc import Mapping
from typing import Any

import msgspec

from outbox.simulators.asgi import Reply, Request, json_reply

_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_LIFETIME_S = 3600
_PREFIX = "ya29.simulated."
_SECRET = b"simulated access tokens"
_PARTS = 3


def token_reply(request: Request) -> Reply:
    """The endpoint; any well-formed assertion is believed, as nothing is to be protected here."""
    form = request.form()
    if form.get("grant_type") != _GRANT:
        return _refused("unsupported_grant_type", f"grant_type is not {_GRANT}")
    wrong = _wrong_with(form)
    if wrong is not None:
        return _refused("invalid_grant", wrong)
    value = {"access_token": issue(time.time()), "expires_in": _LIFETIME_S, "token_type": "Bearer"}
    return json_reply(200, value)


def issue(now: float) -> str:
    """A token that is good for an hour."""
    expires = f"{int(now) + _LIFETIME_S}"
    return f"{_PREFIX}{expires}.{_sign(expires)}"


def is_good(authorization: bytes, now: float) -> bool:
    """Whether an Authorization header carries a token of ours that has not expired."""
    scheme, _, token = authorization.decode("latin-1").partition(" ")
    if scheme != "Bearer" or not token.startswith(_PREFIX):
        return False
    expires, _, signature = token[len(_PREFIX) :].partition(".")
    return signature == _sign(expires) and now < int(expires)


def _sign(expires: str) -> str:
    return hmac.digest(_SECRET, expires.encode("latin-1"), "sha256").hex()


def _refused(error: str, description: str) -> Reply:
    return json_reply(400, {"error": error, "error_description": description})


def _wrong_with(form: Mapping[str, str]) -> str | None:
    parts = form.get("assertion", "").split(".")
    if len(parts) != _PARTS or not all(parts):
        return "Invalid JWT: not three parts."
    header, claims = _part(parts[0]), _part(parts[1])
    if header is None or claims is None:
        return "Invalid JWT: header or claims are not JSON."
    if header.get("alg") != "RS256":
        return "Invalid JWT: alg is not RS256."
    if not isinstance(claims.get("iss"), str):
        return "Invalid JWT: iss is missing."
    expires = claims.get("exp")
    if not isinstance(expires, int | float) or expires < time.time():
        return "Invalid JWT: it has expired, or exp is missing."
    return None


def _part(text: str) -> dict[str, Any] | None:
    try:
        padded = text + "=" * (-len(text) % 4)
        value = msgspec.json.decode(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError):
        return None
    return value if isinstance(value, dict) else None
