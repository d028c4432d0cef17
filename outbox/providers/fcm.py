"""FCM HTTP v1: firebase-admin for credentials and message building, our transport carries them.

What if the response is lost? FCM cannot be asked; a repetition carries the same collapse key and
notification id, and the app drops the second one.
"""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import msgspec
from firebase_admin import credentials as firebase_credentials
from firebase_admin import messaging
from google.auth.exceptions import GoogleAuthError, TransportError
from google.auth.transport.requests import Request

from observability.logs import wide
from outbox.domain.messages import AddressKind, Push
from outbox.domain.outcomes import Outcome, Result
from outbox.providers.codes import fcm_result, table
from outbox.providers.transport import Transport, TransportFault, retry_after_s
from outbox.settings import FcmSettings

_PROVIDER = "fcm"
_BASE = "https://fcm.googleapis.com"
_SCOPES = ["https://www.googleapis.com/auth/firebase.messaging"]
_EARLY_S = 300.0
_TOKEN_TIMEOUT_S = 8.0
_OK = 200
_UNAUTHENTICATED = 401


class _Tokens:
    """The access token: fetched in a thread, one fetch at a time, renewed early."""

    def __init__(self, path: Path) -> None:
        self._certificate = firebase_credentials.Certificate(str(path))
        self._google = self._certificate.get_credential().with_scopes(_SCOPES)
        self._lock = asyncio.Lock()
        self._token = ""
        self._fresh_until = 0.0
        self.project = self._certificate.project_id

    async def get(self) -> str:
        """A token that is good for some minutes; raises google's own errors."""
        if time.monotonic() < self._fresh_until:
            return self._token
        async with self._lock:
            if time.monotonic() >= self._fresh_until:
                async with asyncio.timeout(_TOKEN_TIMEOUT_S):
                    await asyncio.to_thread(self._google.refresh, Request())
                self._token = str(self._google.token)
                self._fresh_until = time.monotonic() + 3600.0 - _EARLY_S
        return self._token

    def refuse(self) -> None:
        """The token was refused: fetch another before the next call."""
        self._fresh_until = 0.0


def payload(push: Push) -> bytes:
    """The request body, built and validated by firebase-admin."""
    android = messaging.AndroidConfig(
        priority="high" if push.urgent else "normal",
        ttl=push.ttl_s,
        collapse_key=push.collapse_key,
        notification=messaging.AndroidNotification(
            channel_id="alerts" if push.urgent else "notes",
            sound="default",
        ),
    )
    apns = messaging.APNSConfig(
        headers={
            "apns-priority": "10" if push.urgent else "5",
            "apns-expiration": str(int(time.time()) + push.ttl_s),
            "apns-collapse-id": push.collapse_key,
        },
        payload=messaging.APNSPayload(aps=messaging.Aps(sound="default")),
    )
    common = {
        "data": dict(push.data),
        "notification": messaging.Notification(title=push.title, body=push.body),
        "android": android,
        "apns": apns,
    }
    message = messaging.Message(fid=push.address, **common)
    built = json.loads(str(message))
    if push.address_kind is AddressKind.TOKEN:
        # The library warns of `token`, which apps of older versions still have.
        built["token"] = built.pop("fid")
    return msgspec.json.encode({"message": built})


class FcmPush:
    """Sends pushes to single devices."""

    def __init__(self, settings: FcmSettings, transport: Transport) -> None:
        """Reads the service account; nothing is sent yet."""
        self._tokens = _Tokens(settings.credentials)
        self._transport = transport
        base = settings.api_base or _BASE
        self._url = f"{base}/v1/projects/{self._tokens.project}/messages:send"

    async def send(self, push: Push) -> Outcome:
        """Send one push."""
        outcome = await self._post(payload(push))
        wide(
            "push.send",
            provider=_PROVIDER,
            result=outcome.result,
            code=outcome.code,
            latency_ms=outcome.latency_ms,
        )
        return outcome

    async def check(self) -> Outcome:
        """Whether an access token can be had; sends nothing."""
        started = time.perf_counter()
        try:
            await self._tokens.get()
        except (GoogleAuthError, TimeoutError) as error:
            return _no_token(error, started)
        return _outcome(Result.ACCEPTED, started)

    async def _post(self, body: bytes) -> Outcome:
        started = time.perf_counter()
        try:
            token = await self._tokens.get()
        except (GoogleAuthError, TimeoutError) as error:
            return _no_token(error, started)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        try:
            answer = await self._transport.request("POST", self._url, headers=headers, body=body)
        except TransportFault as fault:
            result = Result.RETRYABLE if fault.certainly_unsent else Result.OUTCOME_UNKNOWN
            return _outcome(result, started, code=fault.kind)
        if answer.status == _OK:
            return _outcome(Result.ACCEPTED, started, provider_id=_name(answer.body))
        if answer.status == _UNAUTHENTICATED:
            self._tokens.refuse()
        detail = _detail(answer.body)
        code = detail or str(answer.status)
        known = table(_PROVIDER).get(code)
        return _outcome(
            fcm_result(answer.status, detail),
            started,
            code=code,
            detail=known.name if known else None,
            retry_after=retry_after_s(answer.headers),
        )


def _no_token(error: Exception, started: float) -> Outcome:
    away = isinstance(error, (TransportError, TimeoutError))
    return _outcome(
        Result.RETRYABLE if away else Result.CONFIGURATION_FAULT,
        started,
        code="token_endpoint",
        detail="no access token: away" if away else "no access token: the key is refused",
    )


def _name(body: bytes) -> str | None:
    try:
        return str(msgspec.json.decode(body)["name"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return None


def _detail(body: bytes) -> str | None:
    """FCM's own error code inside the answer; null when it has none."""
    try:
        details = msgspec.json.decode(body)["error"]["details"]
        codes = [d["errorCode"] for d in details if "errorCode" in d]
    except (msgspec.DecodeError, KeyError, TypeError):
        return None
    return str(codes[0]) if codes else None


def _outcome(  # noqa: PLR0913 - the fields of one outcome
    result: Result,
    started: float,
    *,
    provider_id: str | None = None,
    code: str | None = None,
    detail: str | None = None,
    retry_after: float | None = None,
) -> Outcome:
    return Outcome(
        result=result,
        provider=_PROVIDER,
        provider_id=provider_id,
        code=code,
        detail=detail,
        retry_after_s=retry_after,
        latency_ms=int((time.perf_counter() - started) * 1000),
    )
