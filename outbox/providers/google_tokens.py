"""Google's access tokens for one service account: one fetch at a time, renewed before they end.

google-auth signs the assertion and reads the answer, in a thread, as it is synchronous; its HTTP
goes over our transport, so that the fetch has a total time-out and ends with the process.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
from firebase_admin import credentials
from google.auth.exceptions import GoogleAuthError, RefreshError, TransportError
from google.auth.transport import Request
from msgspec import Meta, Struct

from outbox.domain.outcomes import Result
from outbox.providers.calls import Call
from outbox.providers.transport import TOTAL_TIMEOUT_S, Transport, TransportFault
from outbox.settings import Problem, SettingsError

_SCOPES = ["https://www.googleapis.com/auth/firebase.messaging"]
_RENEW_S = 300.0
_SPARE_S = 30.0
_LEAST_S = 0.1
_YOUNG_S = 60.0
_UNKNOWN_LIFETIME_S = 300.0
_LONGEST_S = 86_400
_OK = 200


class TokenError(Exception):
    """There is no access token."""

    def __init__(self, result: Result, code: str, detail: str) -> None:
        """``result`` is what it means for the push: nothing was sent."""
        super().__init__(code)
        self.result = result
        self.code = code
        self.detail = detail


class _Token(Struct, frozen=True):
    """An access token; times are those of the clock that was passed in."""

    value: str
    fetched_at: float
    renew_at: float
    good_until: float


class _Granted(Struct):
    """What a success of the endpoint must hold."""

    access_token: Annotated[str, Meta(pattern=r"^[\x21-\x7e]+$")]
    expires_in: Annotated[int, Meta(gt=0, le=_LONGEST_S)] | None = None


class _Answer(Struct, frozen=True):
    """An answer as google-auth reads it."""

    status: int
    headers: Mapping[str, str]
    data: bytes


class GoogleTokens:
    """The access token of one service account; belongs to one event loop."""

    def __init__(
        self,
        path: Path,
        transport: Transport,
        *,
        clock: Callable[[], float] = time.monotonic,
        total_timeout_s: float = TOTAL_TIMEOUT_S,
    ) -> None:
        """Read the service account; raises `SettingsError` when its key cannot be used."""
        try:
            certificate = credentials.Certificate(str(path))
        except (OSError, ValueError):
            certificate = None
        if certificate is None:
            # Outside of the handler: the message may quote the file.
            got = f"{path}, whose private key cannot be read"
            accepted = "the JSON file of a service account, as downloaded from Firebase's console"
            raise SettingsError([Problem("GOOGLE_APPLICATION_CREDENTIALS", got, accepted)])
        self.project = str(certificate.project_id)
        self._google = certificate.get_credential().with_scopes(_SCOPES)
        self._transport = transport
        self._clock = clock
        self._total_timeout_s = total_timeout_s
        self._token: _Token | None = None
        self._fetching: asyncio.Task[_Token] | None = None

    async def get(self, *, within_s: float) -> str:
        """A token that is still good for some seconds; raises `TokenError`.

        A waiter that gives up does not end the fetch: the next ones have use for it.
        """
        token, now = self._token, self._clock()
        if token is not None and now < token.good_until:
            if now >= token.renew_at:
                self._fetch()
            return token.value
        fetching = self._fetch()
        await asyncio.wait({fetching}, timeout=max(within_s, 0.0))
        if not fetching.done():
            raise TokenError(Result.RETRYABLE, "token_timeout", "no access token in time")
        return fetching.result().value

    def refuse(self, value: str) -> bool:
        """FCM refused this token: forget it; whether a new one may help."""
        token = self._token
        if token is None or token.value != value:
            return True
        self._token = None
        return self._clock() - token.fetched_at > _YOUNG_S

    def _fetch(self) -> asyncio.Task[_Token]:
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._fetched())
            self._fetching.add_done_callback(self._ended)
        return self._fetching

    def _ended(self, fetching: asyncio.Task[_Token]) -> None:
        self._fetching = None
        # Also where nobody waited; the failure has been logged.
        if not fetching.cancelled() and fetching.exception() is None:
            self._token = fetching.result()

    async def _fetched(self) -> _Token:
        call = Call("fcm", "push.token")
        request = _Bridge(self._transport, self._total_timeout_s)
        try:
            await asyncio.to_thread(self._google.refresh, request)
        except GoogleAuthError as error:
            failed = _failure(error)
        else:
            call.ended(Result.ACCEPTED)
            return self._made()
        call.ended(failed.result, code=failed.code, detail=failed.detail)
        # Without its context: google's exceptions quote the answer.
        raise failed from None

    def _made(self) -> _Token:
        now, lifetime_s = self._clock(), _UNKNOWN_LIFETIME_S
        if self._google.expiry is not None:
            ends = self._google.expiry.replace(tzinfo=UTC)
            lifetime_s = (ends - datetime.now(UTC)).total_seconds()
        return _Token(
            value=str(self._google.token),
            fetched_at=now,
            renew_at=now + lifetime_s - min(_RENEW_S, lifetime_s / 2),
            good_until=now + lifetime_s - min(_SPARE_S, lifetime_s / 4),
        )


def _failure(error: GoogleAuthError) -> TokenError:
    passing = isinstance(error, TransportError) or (
        isinstance(error, RefreshError) and error.retryable
    )
    if passing:
        return TokenError(Result.RETRYABLE, "token_endpoint", "the token endpoint is away")
    return TokenError(
        Result.CONFIGURATION_FAULT,
        "token_refused",
        "the token endpoint refuses the service account",
    )


class _Bridge(Request):
    """Lets google-auth's thread send over the loop's transport, until a common deadline."""

    def __init__(self, transport: Transport, within_s: float) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._until = time.monotonic() + within_s

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,  # noqa: ARG002 - there is a common deadline
        **_: Any,  # noqa: ANN401
    ) -> _Answer:
        left_s = self._until - time.monotonic()
        if left_s < _LEAST_S:
            why = "no time left"
            raise TransportError(why)  # type: ignore[no-untyped-call]
        sending = self._transport.request(
            method,
            url,
            headers=headers or {},
            body=body,
            timeout_s=left_s,
        )
        try:
            answer = asyncio.run_coroutine_threadsafe(sending, self._loop).result()
        except (TransportFault, CancelledError) as fault:
            raise TransportError(type(fault).__name__) from None  # type: ignore[no-untyped-call]
        if answer.status == _OK and not _is_token(answer.body):
            # google-auth trusts every shape; a proxy may have spoken for Google.
            why = "not a token"
            raise TransportError(why)  # type: ignore[no-untyped-call]
        return _Answer(answer.status, answer.headers, answer.body)


def _is_token(body: bytes) -> bool:
    try:
        msgspec.json.decode(body, type=_Granted, strict=False)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True
