"""The secrets that the simulated accounts take just now, so that their rotation can be tried."""

from __future__ import annotations

import base64
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from outbox.simulators.asgi import Reply, Request, json_reply
from outbox.simulators.twilio_messages import ACCOUNT_SID

AUTH_TOKEN = "simulated-auth-token"  # noqa: S105 - well known, of a simulation
API_KEY = "SK" + "5" * 32
API_SECRET = "simulated-api-secret"  # noqa: S105 - likewise
STRIPE_KEY = "sk_test_simulated4f1d9c7ab3e2"

_Secret = Annotated[str, Meta(min_length=8, max_length=200)]
_Secrets = Annotated[list[_Secret], Meta(min_length=1, max_length=4)]


class _Given(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    twilio_auth_tokens: _Secrets | None = None
    stripe_api_keys: _Secrets | None = None


_decode = msgspec.json.Decoder(_Given).decode


def _basic(name: str, secret: str) -> bytes:
    return b"Basic " + base64.b64encode(f"{name}:{secret}".encode())


class Credentials:
    """Of all accounts; until the simulators end."""

    def __init__(self) -> None:
        """As they are when nobody changed them."""
        self._tokens = [AUTH_TOKEN]
        self.stripe_keys = frozenset({STRIPE_KEY})
        self._take()

    @property
    def primary(self) -> str:
        """The auth token that signs callbacks, as Twilio's primary one does."""
        return self._tokens[0]

    def twilio_takes(self, authorization: bytes) -> bool:
        """Whether this Authorization header is one of the account's."""
        return authorization in self._basics

    def handle(self, request: Request) -> Reply:
        """Answer ``/_sim/credentials``: shown by GET, set by POST."""
        if request.method == "POST":
            try:
                given = _decode(request.body)
            except msgspec.MsgspecError as error:
                return json_reply(400, {"error": str(error), "accepted": self._shown()})
            self._tokens = given.twilio_auth_tokens or self._tokens
            self.stripe_keys = frozenset(given.stripe_api_keys or self.stripe_keys)
            self._take()
        elif request.method != "GET":
            return json_reply(405, {"error": "GET or POST"})
        return json_reply(200, self._shown())

    def _take(self) -> None:
        tokens = {_basic(ACCOUNT_SID, token) for token in self._tokens}
        self._basics = frozenset({*tokens, _basic(API_KEY, API_SECRET)})

    def _shown(self) -> dict[str, list[str]]:
        return {
            "twilio_auth_tokens": self._tokens,
            "stripe_api_keys": sorted(self.stripe_keys),
        }
