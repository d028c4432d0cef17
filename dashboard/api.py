"""Calls the gateway with a person's own key: for what changes something, and what is sealed."""

from __future__ import annotations

import http.client
import json
import os
import urllib.error
import urllib.request
from typing import Any, Literal
from urllib.parse import quote

from msgspec import Struct

from outbox.settings import Settings

_TIMEOUT_S = 10.0
_MOST_BYTES = 1_000_000
_WORDS = {
    401: "The gateway does not know this key, or it was revoked.",
    403: "This key may not do this: it needs the scope {scope}.",
    404: "The gateway knows nothing of this; perhaps its time of keeping is over.",
    503: "The gateway cannot do it at this moment. Try again in a few seconds.",
}


class RefusedError(Exception):
    """It was not done; the text is safe to show."""


class Outcome(Struct, frozen=True, kw_only=True):
    """What came of an action."""

    result: str
    state: str


class Api:
    """The gateway, for one person."""

    def __init__(self, settings: Settings, key: str) -> None:
        """``key`` is the person's own; it is not kept here for longer than the call."""
        self._url = (os.environ.get("PRUUF_URL") or settings.public_url).rstrip("/")
        self._key = key

    def act(self, kind: str, identity: str, what: str, reason: str) -> Outcome:
        """Cancel or redrive; ``kind`` is what the path begins with; raises `RefusedError`."""
        path = f"/v1/{kind}/{quote(identity, safe='')}/{what}"
        return self._act(path, {"reason": reason})

    def hold(self, provider: str, sender: str, *, for_s: int, reason: str) -> Outcome:
        """Keep the relays from calling a provider; raises `RefusedError`."""
        body = {"reason": reason, "for_s": for_s, "sender": sender or None}
        return self._act(f"/v1/providers/{quote(provider, safe='')}/hold", body)

    def release(self, provider: str, sender: str, *, reason: str) -> Outcome:
        """Let the relays call it again; raises `RefusedError`."""
        body = {"reason": reason, "sender": sender or None}
        return self._act(f"/v1/providers/{quote(provider, safe='')}/release", body)

    def acknowledge(self, alert: str, label: str, *, for_s: int, reason: str) -> Outcome:
        """Say that somebody knows of an alert; raises `RefusedError`."""
        body = {"reason": reason, "for_s": for_s, "label": label}
        return self._act(f"/v1/alerts/{quote(alert, safe='')}/acknowledge", body)

    def _act(self, path: str, body: dict[str, Any]) -> Outcome:
        answer = self._ask("POST", path, body, scope="operate")
        return Outcome(result=str(answer.get("result", "")), state=str(answer.get("state", "")))

    def open(self, recipient: str, reason: str) -> dict[str, Any]:
        """Name and number of a recipient; who opened them and why is kept. Raises as `act`."""
        path = f"/v1/recipients/{quote(recipient, safe='')}/open"
        return self._ask("POST", path, {"reason": reason}, scope="recipients")

    def _ask(
        self,
        method: Literal["POST"],
        path: str,
        body: dict[str, Any],
        *,
        scope: str,
    ) -> dict[str, Any]:
        if not self._key.isascii() or not self._key.isprintable():
            msg = "This is no key: keys look like pruuf_…"
            raise RefusedError(msg)
        request = urllib.request.Request(  # noqa: S310 - our own gateway's address
            f"{self._url}{path}",
            data=json.dumps(body).encode(),
            method=method,
            headers={
                "Authorization": f"Bearer {self._key}",
                "Content-Type": "application/json",
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310
                found: dict[str, Any] = json.loads(answer.read(_MOST_BYTES))
                return found
        except urllib.error.HTTPError as error:
            with error:
                raise RefusedError(_refusal(error, scope)) from None
        except (OSError, ValueError, http.client.HTTPException) as error:
            msg = f"The gateway at {self._url} does not answer; PRUUF_URL says where it is."
            raise RefusedError(msg) from error


def _refusal(error: urllib.error.HTTPError, scope: str) -> str:
    if error.code in _WORDS:
        return _WORDS[error.code].format(scope=scope)
    try:
        said = json.loads(error.read(_MOST_BYTES))
        detail = "; ".join(
            f"{each['path']}: accepted is {each['accepted']}" for each in said.get("errors", [])
        )
        return f"The gateway refused it: {detail or said.get('detail') or said.get('title')}."
    except (OSError, ValueError, KeyError, AttributeError):
        return f"The gateway refused it with the status {error.code}."
