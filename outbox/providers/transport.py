"""The pooled HTTP transport under every adapter: one total time-out, no retries, no redirects.

Every fault says whether the request certainly did not reach the provider; only then may the
same step be tried again without asking.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Literal, Protocol, Self

from msgspec import Struct
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import (
    BodyDecodeError,
    BuilderError,
    DecodeError,
    DetailedPyreqwestError,
    PoolTimeoutError,
    PyreqwestError,
    ReadTimeoutError,
    RequestTimeoutError,
)

from observability import tracing
from observability.http_spans import answered, requesting

TOTAL_TIMEOUT_S = 8.0
"""From connect to last byte."""

_CONNECT_TIMEOUT_S = 3.0
_IDLE_S = 45.0
"""Shorter than the minute after which common load balancers drop a connection: a request that
meets a closing one has an unknown outcome."""
_MAX_IDLE = 256

_MAX_WISH_S = 86_400.0

FaultKind = Literal[
    "connect", "dns", "tls", "connect_timeout", "pool", "timeout", "closed", "broken"
]
"""Our names for what went wrong; few, so that they may be labels."""


class Answer(Struct, frozen=True):
    """A complete HTTP answer."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes


class TransportFault(Exception):  # noqa: N818 - the field's word
    """No complete answer came."""

    def __init__(self, kind: FaultKind, *, sent: bool | None) -> None:
        """``sent``: false is certainly not, true is certainly, null is unknown."""
        super().__init__(kind)
        self.kind: FaultKind = kind
        self.sent = sent

    @property
    def certainly_unsent(self) -> bool:
        """Whether the same request may be repeated without asking first."""
        return self.sent is False


class Transport(Protocol):
    """What an adapter needs of HTTP."""

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None,
        timeout_s: float | None = None,
    ) -> Answer:
        """Send one request; raises `TransportFault`. ``timeout_s`` shortens the total time-out."""
        ...


class PooledTransport:
    """Native client with warm connections; safe to share within a process."""

    def __init__(self, *, total_timeout_s: float = TOTAL_TIMEOUT_S) -> None:
        """Nothing is opened before the first request; proxies of the environment are ignored."""
        self._total_timeout_s = total_timeout_s
        # Shorter than the total: a connection that cannot be made is then told from a lost answer.
        connect_s = min(_CONNECT_TIMEOUT_S, total_timeout_s / 2)
        self._client: Client = (
            ClientBuilder()
            .timeout(timedelta(seconds=total_timeout_s))
            .connect_timeout(timedelta(seconds=connect_s))
            .pool_idle_timeout(timedelta(seconds=_IDLE_S))
            .pool_max_idle_per_host(_MAX_IDLE)
            .follow_redirects(enable=False)
            .no_proxy()
            .user_agent("pruuf-gateway")
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
        timeout_s: float | None = None,
    ) -> Answer:
        """Send one request; raises `TransportFault`, `ValueError` for an impossible request.

        ``timeout_s`` shortens the total time-out for this request, and never lengthens it. To
        cancel the caller does not call the request back: it may still arrive until then.
        """
        outer = tracing.current()
        if outer is None:
            return await self._request(method, url, headers, body, timeout_s)
        span = requesting(outer, method, url)
        try:
            answer = await self._request(method, url, headers, body, timeout_s)
        except BaseException as error:
            span.fail(error.kind if isinstance(error, TransportFault) else type(error).__name__)
            raise
        else:
            answered(span, answer.status)
            return answer
        finally:
            span.end()

    async def _request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        timeout_s: float | None,
    ) -> Answer:
        request = self._client.request(method, url).headers(dict(headers))
        if body is not None:
            request = request.body_bytes(body)
        if timeout_s is not None and timeout_s < self._total_timeout_s:
            request = request.timeout(timedelta(seconds=max(timeout_s, 0.001)))
        fault: Exception
        try:
            response = await request.build().send()
            content = bytes(await response.bytes())
        except BuilderError:
            fault = ValueError("not an address that can be called")
        except PyreqwestError as error:
            fault = fault_of(error)
        else:
            names = {name.lower(): value for name, value in response.headers.items()}
            return Answer(response.status, names, content)
        # Outside of the handler: the client's errors quote the URL, which holds phone numbers or
        # secrets, and a traceback would show it as the context.
        raise fault


def fault_of(error: PyreqwestError) -> TransportFault:
    """What a fault of the native client means.

    Its classes do not tell: a connection that closes after the whole request was written is a
    ConnectError there, and an answer that never comes a ConnectTimeoutError. Its causes do: only
    a fault of the connector says ``(Connect)``. What is not recognised counts as maybe sent.
    """
    if isinstance(error, PoolTimeoutError):
        return TransportFault("pool", sent=False)
    causes = _causes(error)
    if "client error (Connect)" in causes:
        return TransportFault(_while_connecting(error, causes), sent=False)
    if isinstance(error, RequestTimeoutError):
        begun = isinstance(error, ReadTimeoutError) and "error decoding response body" in causes
        return TransportFault("timeout", sent=True if begun else None)
    if isinstance(error, BodyDecodeError):
        return TransportFault("broken", sent=True)
    if isinstance(error, DecodeError):
        return TransportFault("broken", sent=None)
    return TransportFault("closed", sent=None)


def _causes(error: PyreqwestError) -> list[str]:
    if not isinstance(error, DetailedPyreqwestError):
        return []
    return [cause["message"] for cause in error.details.get("causes") or ()]


def _while_connecting(error: PyreqwestError, causes: list[str]) -> FaultKind:
    if isinstance(error, RequestTimeoutError):
        return "connect_timeout"
    if "dns error" in causes:
        return "dns"
    return "connect" if "tcp connect error" in causes else "tls"


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Retry-After in seconds, at most a day; null when it is missing or makes no sense.

    A date is counted from the answer's own Date, so that no clock of ours takes part.
    """
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return min(float(value), _MAX_WISH_S)
    try:
        wish = parsedate_to_datetime(value) - parsedate_to_datetime(headers.get("date", ""))
    except (TypeError, ValueError, OverflowError):
        # TypeError: one of them names no time zone.
        return None
    return min(max(wish.total_seconds(), 0.0), _MAX_WISH_S)
