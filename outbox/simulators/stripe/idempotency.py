"""Idempotency keys as Stripe keeps them: the first answer is repeated for a day, errors too."""

from __future__ import annotations

import hashlib
from typing import Any

from outbox.simulators.stripe.clocks import Clock
from outbox.simulators.stripe.errors import Refusal
from outbox.simulators.stripe.store import Store

KEPT_S = 86_400
_KIND = "idempotency"
_LONGEST = 255
_AT_ONCE = 64


class Keys:
    """Answers by key."""

    def __init__(self, store: Store, clock: Clock) -> None:
        """Keys expire by the account's clock."""
        self._store = store
        self._clock = clock
        self._running: set[str] = set()

    def begin(self, key: str, call: str) -> dict[str, Any] | None:
        """The answer that is kept for a key; null: go on, and then `keep` or `release` it.

        Raises `Refusal` where the key belongs to another call or to one that is under way.
        """
        if len(key) > _LONGEST:
            message = f"Idempotency keys have at most {_LONGEST} characters."
            raise Refusal(message, kind="idempotency_error")
        if key in self._running:
            message = (
                "There is currently another in-progress request using this Idempotent Key (that"
                " probably means you submitted twice, and the other request is still going"
                f" through): {key}. Please try again later."
            )
            raise Refusal(
                message,
                status=409,
                kind="idempotency_error",
                code="idempotency_key_in_use",
            )
        kept: dict[str, Any] | None = self._store.get(_KIND, key)
        if kept is not None and kept["at"] + KEPT_S > self._clock.now():
            if kept["call"] != _print(call):
                message = (
                    "Keys for idempotent requests can only be used with the same parameters they"
                    f" were first used with. Try using a key other than '{key}' if you meant to"
                    " execute a different request."
                )
                raise Refusal(message, kind="idempotency_error")
            return kept
        self._running.add(key)
        return None

    def keep(self, key: str, call: str, *, status: int, body: str, request: str) -> None:
        """Repeat this answer from now on."""
        # Deleted first, so that the order stays that of age.
        self._store.drop(_KIND, [key])
        value = {
            "at": self._clock.now(),
            "call": _print(call),
            "status": status,
            "body": body,
            "request": request,
        }
        self._store.put(_KIND, key, value)
        self._prune()

    def release(self, key: str) -> None:
        """The call is over."""
        self._running.discard(key)

    def _prune(self) -> None:
        before = self._clock.now() - KEPT_S
        gone: list[str] = []
        for name, kept in self._store.all(_KIND).items():
            if kept["at"] > before or len(gone) == _AT_ONCE:
                break
            gone.append(name)
        self._store.drop(_KIND, gone)


def _print(call: str) -> str:
    return hashlib.sha256(call.encode()).hexdigest()
