"""FCM HTTP v1, and an app on the other end that acknowledges what it is told to."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from typing import Any

import msgspec

from outbox.simulators import callbacks as making
from outbox.simulators import google_tokens, magic
from outbox.simulators.asgi import Reply, Request, json_reply
from outbox.simulators.callbacks import Callbacks
from outbox.simulators.faults import Faults
from outbox.simulators.fcm_messages import TARGETS, failure, violation
from outbox.simulators.ledger import Entry, Ledger
from outbox.simulators.outcomes import Delays, Outcome

PROJECT = "pruuf-simulated"

_PATH = f"/v1/projects/{PROJECT}/messages:send"
_OPENED_AFTER = 2
"""Opening takes so many times the delay of receiving."""

_FAULTS = {
    400: "INVALID_ARGUMENT",
    403: "SENDER_ID_MISMATCH",
    404: "UNREGISTERED",
    429: "QUOTA_EXCEEDED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}


def outage(status: int, retry_after: int | None) -> Reply:
    """The answer of a fault that was switched on."""
    return failure(status, _FAULTS.get(status), "Simulated fault", retry_after=retry_after)


class Fcm:
    """One simulated project."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        callbacks: Callbacks,
        faults: Faults,
        delays: Delays,
        app: str | None,
    ) -> None:
        """``app``: base address where the app acknowledges; null: it never does."""
        self._ledger = ledger
        self._callbacks = callbacks
        self._faults = faults
        self._delays = delays
        self._app = app
        self._refused: Counter[str] = Counter()

    async def send(self, request: Request) -> Reply:  # noqa: PLR0911 - one per refusal
        """Answer ``messages:send``."""
        now = time.time()
        if not google_tokens.is_good(request.header(b"authorization"), now):
            return failure(401, None, "Request had invalid authentication credentials.")
        if request.path != _PATH:
            return failure(404, None, "Requested entity was not found.")
        if request.method != "POST":
            return failure(405, None, "Method not allowed.")
        try:
            wanted: Any = msgspec.json.decode(request.body)
        except msgspec.DecodeError:
            return _invalid(("", "Invalid JSON payload received."))
        message = wanted.get("message") if isinstance(wanted, dict) else None
        if not isinstance(message, dict):
            return _invalid(("message", "There is no message."))
        wrong = violation(message)
        if wrong is not None:
            return _invalid(wrong)
        return await self._take(message, validate_only=bool(wanted.get("validate_only")), now=now)

    async def _take(self, message: dict[str, Any], *, validate_only: bool, now: float) -> Reply:
        kind = next(name for name in TARGETS if message.get(name))
        target = message[kind]
        device = kind in {"token", "fid"}
        outcome = magic.of_token(target) if device else magic.DELIVERED
        if outcome.refuses(self._refused, target):
            return _refused(outcome, kind)
        if validate_only:
            return json_reply(200, {"name": f"projects/{PROJECT}/messages/fake_message_id"})
        data = message.get("data", {})
        entry = Entry(
            provider="fcm",
            id=f"projects/{PROJECT}/messages/{os.urandom(16).hex()}",
            to=target,
            text=_text(message),
            reference=data.get("notification_id", ""),
            outcome=outcome.name,
            accepted_at=now,
        )
        await self._ledger.append(entry)
        if device and self._app and "receipt_token" in data:
            self._acknowledge(self._app, data["receipt_token"], outcome)
        if outcome.slow:
            await asyncio.sleep(self._delays.slow_s)
        reply = json_reply(200, {"name": entry.id})
        reply.accepted, reply.drop = entry.id, outcome.drop
        return reply

    def _acknowledge(self, app: str, receipt_token: str, outcome: Outcome) -> None:
        after_s = self._delays.final_s
        for event in outcome.acknowledged:
            for delay in self._faults.callback_delays("fcm"):
                callback = making.app(app, receipt_token, event)
                self._callbacks.make(callback, after_s=after_s + delay)
            after_s *= _OPENED_AFTER


def _refused(outcome: Outcome, kind: str) -> Reply:
    detail = outcome.code if isinstance(outcome.code, str) else None
    return failure(
        outcome.status,
        detail,
        outcome.what,
        # Of this one alone FCM names the field.
        violation=(f"message.{kind}", outcome.what) if detail == "INVALID_ARGUMENT" else None,
        retry_after=outcome.retry_after,
    )


def _invalid(wrong: tuple[str, str]) -> Reply:
    return failure(400, "INVALID_ARGUMENT", wrong[1], violation=wrong)


def _text(message: dict[str, Any]) -> str:
    shown = message.get("notification", {})
    text = f"{shown.get('title', '')}: {shown.get('body', '')}" if shown else ""
    # SQLite would end the text there.
    return text.replace("\0", "\ufffd")
