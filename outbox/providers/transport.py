"""The pooled HTTP transport under every adapter: one total time-out, no retries, no redirects.

Every fault says whether the request certainly did not reach the provider; only then may the
same step be tried again without asking.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from types import TracebackType
from typing import Protocol, Self

from msgspec import Struct
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import (
    ConnectError,
    ConnectTimeoutError,
    PoolTimeoutError,
    PyreqwestError,
    RequestTimeoutError,
)

TOTAL_TIMEOUT_S = 8.0
"""From connect to last byte."""

_CONNECT_TIMEOUT_S = 3.0
_IDLE_S = 60.0


class Answer(Struct, frozen=True):
    """A complete HTTP answer."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes


class TransportFault(Exception):  # noqa: N818 - the field's word
    """No complete answer came."""

    def __init__(self, kind: str, *, certainly_unsent: bool) -> None:
        """``kind`` is ours: ``connect``, ``timeout`` or ``broken``."""
        super().__init__(kind)
        self.kind = kind
        self.certainly_unsent = certainly_unsent


class Transport(Protocol):
    """What an adapter needs of HTTP."""

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None,
    ) -> Answer:
        """Send one request; raises `TransportFault`."""
        ...


class PooledTransport:
    """Native client with warm connections; safe to share within a process."""

    def __init__(self, *, total_timeout_s: float = TOTAL_TIMEOUT_S) -> None:
        """Nothing is opened before the first request."""
        self._client: Client = (
            ClientBuilder()
            .timeout(timedelta(seconds=total_timeout_s))
            .connect_timeout(timedelta(seconds=min(_CONNECT_TIMEOUT_S, total_timeout_s)))
            .pool_idle_timeout(timedelta(seconds=_IDLE_S))
            .follow_redirects(enable=False)
            .no_proxy()
            .build()
        )

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the pool."""
        await self._client.close()

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None,
    ) -> Answer:
        """Send one request; raises `TransportFault`."""
        request = self._client.request(method, url).headers(dict(headers))
        if body is not None:
            request = request.body_bytes(body)
        try:
            response = await request.build().send()
            content = bytes(await response.bytes())
        except (ConnectError, ConnectTimeoutError, PoolTimeoutError) as error:
            kind = "connect"
            raise TransportFault(kind, certainly_unsent=True) from error
        except RequestTimeoutError as error:
            kind = "timeout"
            raise TransportFault(kind, certainly_unsent=False) from error
        except PyreqwestError as error:
            kind = "broken"
            raise TransportFault(kind, certainly_unsent=False) from error
        names = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status, names, content)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Retry-After in seconds; the date form and nonsense count as unsaid."""
    value = headers.get("retry-after", "").strip()
    return float(value) if value.isdigit() else None
