"""FCM HTTP v1 with its token endpoint, and an app on the other end that acknowledges."""

from __future__ import annotations

import asyncio
import secrets
import time
import uuid
from typing import Any

import msgspec

from outbox.simulators import magic
from outbox.simulators.callbacks import Callbacks
from outbox.simulators.faults import Faults
from outbox.simulators.http import Reply, Request, json_reply
from outbox.simulators.ledger import Entry, Ledger

PROJECT = "pruuf-simulated"

_TYPE = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
_TARGETS = ("token", "fid", "topic", "condition")
_MAX_PAYLOAD = 4096
_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}


def _error(
    status: int,
    detail: str | None,
    message: str,
    retry_after: int | None = None,
) -> Reply:
    error: dict[str, object] = {
        "code": status,
        "message": message,
        "status": _STATUS.get(status, "UNKNOWN"),
    }
    if detail is not None:
        error["details"] = [{"@type": _TYPE, "errorCode": detail}]
    return json_reply(status, {"error": error}, retry_after=retry_after)


class Fcm:
    """One simulated project."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        callbacks: Callbacks,
        faults: Faults,
        app: str | None,
        acknowledge_after_s: float,
    ) -> None:
        """``app``: base address where the app acknowledges; null: it never does."""
        self._ledger = ledger
        self._callbacks = callbacks
        self._faults = faults
        self._app = app
        self._acknowledge_after_s = acknowledge_after_s
        # Any process of this simulator honours a token that another one gave out.
        self._token_prefix = "sim-access-"

    def token(self, request: Request) -> Reply:
        """The OAuth token endpoint: takes a signed assertion, gives an access token."""
        assertion = request.form().get("assertion", "")
        if assertion.count(".") != 2:  # noqa: PLR2004 - header, claims, signature
            return json_reply(400, {"error": "invalid_grant", "error_description": "no assertion"})
        value = {
            "access_token": self._token_prefix + secrets.token_hex(16),
            "expires_in": 3600,
            "token_type": "Bearer",
        }
        return json_reply(200, value)

    async def send(self, request: Request) -> Reply:
        """Answer ``messages:send``."""
        if not request.authorization().startswith(f"Bearer {self._token_prefix}"):
            return _error(401, None, "Request had invalid authentication credentials.")
        if f"/projects/{PROJECT}/" not in request.path:
            return _error(404, None, "Requested entity was not found.")
        try:
            wanted: dict[str, Any] = msgspec.json.decode(request.body)
            message: dict[str, Any] = wanted["message"]
        except (msgspec.DecodeError, KeyError, TypeError):
            return _error(400, "INVALID_ARGUMENT", "There is no message.")
        fault = _fault_of(message)
        if fault is not None:
            return _error(400, "INVALID_ARGUMENT", fault)
        target = next(message[name] for name in _TARGETS if name in message)
        outcome = magic.of_token(target)
        if outcome.status not in range(200, 300):
            detail = outcome.code if isinstance(outcome.code, str) else None
            return _error(outcome.status, detail, outcome.what, outcome.retry_after)
        if wanted.get("validate_only"):
            return json_reply(200, {"name": f"projects/{PROJECT}/messages/fake"})
        return await self._accept(message, target, outcome)

    async def _accept(
        self,
        message: dict[str, Any],
        target: str,
        outcome: magic.Outcome,
    ) -> Reply:
        struck = self._faults.strikes("fcm")
        if struck is not None and struck.status is not None:
            detail = {429: "QUOTA_EXCEEDED", 500: "INTERNAL", 503: "UNAVAILABLE"}.get(struck.status)
            return _error(struck.status, detail, "simulated", struck.retry_after)
        drop = outcome.drop or (struck is not None and struck.drop)
        data = message.get("data", {})
        notification = message.get("notification", {})
        entry = Entry(
            provider="fcm",
            id=f"projects/{PROJECT}/messages/{uuid.uuid4().hex}",
            to=target,
            sender=PROJECT,
            text=f"{notification.get('title', '')}: {notification.get('body', '')}",
            reference=data.get("notification_id", ""),
            callback="",
            accepted_at=time.time(),
            answered=not drop,
        )
        await self._ledger.append(entry)
        if outcome.acknowledge and self._app and "receipt_token" in data:
            for _ in range(self._faults.callback_copies("fcm")):
                delay = self._acknowledge_after_s + self._faults.callback_delay_s("fcm")
                url = f"{self._app}/v1/receipts/push"
                self._callbacks.app(url, data["receipt_token"], after_s=delay)
        await asyncio.sleep(outcome.slow_s)
        return Reply(200, drop=True) if drop else json_reply(200, {"name": entry.id})


def _fault_of(message: dict[str, Any]) -> str | None:
    targets = [name for name in _TARGETS if message.get(name)]
    if len(targets) != 1:
        return "Exactly one of token, fid, topic or condition is required."
    data = message.get("data", {})
    if not isinstance(data, dict) or not all(isinstance(value, str) for value in data.values()):
        return "Values of data must be strings."
    content = {"data": data, "notification": message.get("notification", {})}
    if len(msgspec.json.encode(content)) > _MAX_PAYLOAD:
        return "Message is too big."
    return None
