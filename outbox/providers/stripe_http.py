"""Carries the Stripe SDK's requests over our transport, and keeps each answer as it came.

The SDK builds requests and maps errors; it repeats nothing, tells nobody about this machine, and
all requests of one exchange share one deadline.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ClassVar

import msgspec
import stripe
from msgspec import Struct

from outbox.providers.transport import Answer, Transport, TransportFault

# The SDK would send the name of this platform, and an id that it keeps in a file.
stripe.enable_telemetry = False

_LEAST_S = 0.05


class Exchange(Struct):
    """Requests that belong together: their common deadline, and the last answer."""

    until: float
    """By the monotonic clock."""
    answer: Answer | None = None
    url: str = ""

    def json(self) -> Any:  # noqa: ANN401 - a JSON document
        """The last answer's body; null when there is none that is JSON."""
        if self.answer is None:
            return None
        try:
            return msgspec.json.decode(self.answer.body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None


_current: ContextVar[Exchange] = ContextVar("stripe_exchange")


@contextmanager
def exchange(within_s: float) -> Iterator[Exchange]:
    """What the SDK sends in here ends within so many seconds; one inside of another has its end."""
    until = time.monotonic() + within_s
    outer = _current.get(None)
    begun = Exchange(until=until if outer is None else min(until, outer.until))
    token = _current.set(begun)
    try:
        yield begun
    finally:
        _current.reset(token)


class SdkTransport(stripe.HTTPClient):
    """The SDK's HTTP client; asynchronous only."""

    name: ClassVar[str] = "pruuf"

    def __init__(self, transport: Transport) -> None:
        """``transport`` is shared; it owns time-outs and connections."""
        super().__init__()
        self._transport = transport

    async def request_async(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        post_data: str | bytes | None = None,
    ) -> tuple[bytes, int, MutableMapping[str, str]]:
        """Send; raises `TransportFault`."""
        current = _current.get()
        left_s = current.until - time.monotonic()
        current.answer, current.url = None, url
        if left_s < _LEAST_S:
            raise TransportFault("timeout", sent=False)  # noqa: EM101 - the name of a fault
        body = post_data.encode() if isinstance(post_data, str) else post_data
        answer = await self._transport.request(
            method.upper(),
            url,
            headers=headers,
            body=body,
            timeout_s=left_s,
        )
        current.answer = answer
        return answer.body, answer.status, dict(answer.headers)

    async def close_async(self) -> None:
        """Nothing to close: the transport belongs to somebody else."""
