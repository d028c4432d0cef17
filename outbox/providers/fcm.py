"""FCM HTTP v1: firebase-admin for credentials and message building, our transport carries them.

What if the response is lost? FCM cannot be asked, so the outcome is unknown; a repetition carries
the same tag and notification id, by which the device and the app drop the second one.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import Struct

from outbox.domain.messages import Push
from outbox.domain.outcomes import Outcome, Result
from outbox.providers import push_message
from outbox.providers.calls import MALFORMED, Call
from outbox.providers.codes import classify_push, table
from outbox.providers.google_tokens import GoogleTokens, TokenError
from outbox.providers.transport import TOTAL_TIMEOUT_S, Answer, Transport, TransportFault
from outbox.settings import FcmSettings

_PROVIDER = "fcm"
_BASE = "https://fcm.googleapis.com"
_OK = 200
_SUCCESS = range(200, 300)
_THERE_ALREADY = 409
_UNAUTHENTICATED = 401
_FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
_BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
_ADDRESS_FIELDS = {"message.token", "message.fid"}
_TOPIC = re.compile(r"[A-Za-z0-9_.~%-]{1,900}", re.ASCII)
_CODE = re.compile(r"[A-Z][A-Z_]{2,39}")
_TOKEN_SHARE = 0.75
"""Of the total time-out, to wait for a token at most; the rest is for the push itself."""


class _Named(Struct):
    """A success: FCM's name for the message."""

    name: str


class _Error(Struct):
    """An error's details; each names its own type."""

    details: list[dict[str, Any]] = []


class _Refused(Struct):
    """The body of an error answer."""

    error: _Error


class FcmPush:
    """Sends pushes, and lets devices follow topics; belongs to one event loop."""

    def __init__(
        self,
        settings: FcmSettings,
        transport: Transport,
        *,
        now: Callable[[], float] = time.time,
        total_timeout_s: float = TOTAL_TIMEOUT_S,
    ) -> None:
        """Reads the service account, raises `SettingsError`; nothing is sent yet."""
        self._tokens = GoogleTokens(
            settings.credentials,
            transport,
            total_timeout_s=total_timeout_s,
        )
        self._transport = transport
        self._now = now
        self._total_timeout_s = total_timeout_s
        base = (settings.api_base or _BASE).rstrip("/")
        project = f"{base}/v1/projects/{self._tokens.project}"
        self._url = f"{project}/messages:send"
        self._registrations = f"{project}/registrations"

    async def send(self, push: Push) -> Outcome:
        """Send one push; never raises for what Google or the network does.

        A response that is lost gives OUTCOME_UNKNOWN, unless the connection was never made. The
        code ``UNREGISTERED`` alone says that the address is dead. `ValueError`: FCM could never
        take this message.
        """
        notification = push.data.get("notification_id")
        call = Call(_PROVIDER, "push.send", notification_id=notification, urgent=push.urgent)
        body = push_message.body(push, now=self._now())
        return await self._post(call, body, lost=Result.OUTCOME_UNKNOWN)

    async def check(self) -> Outcome:
        """Whether the service account may send in its project; reaches nobody."""
        call = Call(_PROVIDER, "push.check")
        return await self._post(call, push_message.dry_run(), lost=Result.RETRYABLE)

    async def subscribe(self, address: str, topic: str) -> Outcome:
        """Let a device follow a topic; it may do so already. `ValueError`: no topic's name.

        Nothing gives OUTCOME_UNKNOWN: a response that is lost is RETRYABLE, as a repetition
        changes nothing. ``UNREGISTERED``: as in `send`.
        """
        path = f"{_encoded(address)}/topicSubscriptions?topic_name={_topic(topic)}"
        return await self._follow("POST", path, b"{}", joining=True)

    async def unsubscribe(self, address: str, topic: str) -> Outcome:
        """Let a device follow a topic no more; it may not have. Otherwise as `subscribe`."""
        path = f"{_encoded(address)}/topicSubscriptions/{_topic(topic)}?allow_missing=true"
        return await self._follow("DELETE", path, None, joining=False)

    async def _follow(
        self, method: str, path: str, body: bytes | None, *, joining: bool
    ) -> Outcome:
        call, lost = Call(_PROVIDER, "push.topic", joining=joining), Result.RETRYABLE
        got = await self._request(call, method, f"{self._registrations}/{path}", body, lost)
        if isinstance(got, Outcome):
            return got
        answer, token = got
        if answer.status in _SUCCESS or (joining and answer.status == _THERE_ALREADY):
            return call.ended(Result.ACCEPTED)
        return self._refused(call, answer, token, lost)

    async def _post(self, call: Call, body: bytes, *, lost: Result) -> Outcome:
        """``lost``: what it means that an answer did not come, or said nothing."""
        got = await self._request(call, "POST", self._url, body, lost)
        if isinstance(got, Outcome):
            return got
        answer, token = got
        if answer.status != _OK:
            return self._refused(call, answer, token, lost)
        name = _name(answer.body)
        if name is None:
            return call.ended(lost, code=MALFORMED)
        return call.ended(Result.ACCEPTED, provider_id=name)

    async def _request(
        self,
        call: Call,
        method: str,
        url: str,
        body: bytes | None,
        lost: Result,
    ) -> Outcome | tuple[Answer, str]:
        """An answer and the token it was given to, or what it means that there is none."""
        try:
            token = await self._tokens.get(within_s=self._total_timeout_s * _TOKEN_SHARE)
        except TokenError as error:
            return call.ended(error.result, code=error.code, detail=error.detail)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        # Waiting for the token is part of the call: the relay's lease counts on the total.
        left_s = self._total_timeout_s - call.age_s
        try:
            answer = await self._transport.request(
                method,
                url,
                headers=headers,
                body=body,
                timeout_s=left_s,
            )
        except TransportFault as fault:
            return call.unanswered(fault, lost=lost)
        return answer, token

    def _refused(self, call: Call, answer: Answer, token: str, lost: Result) -> Outcome:
        detail = _detail(answer.body)
        result, retry_after_s = classify_push(answer.status, detail, answer.headers)
        if answer.status == _UNAUTHENTICATED and detail is None and self._tokens.refuse(token):
            # Nothing was sent, and the next call comes with a new token.
            result = Result.RETRYABLE
        code = detail or str(answer.status)
        known = table(_PROVIDER).get(code)
        return call.ended(
            lost if result is Result.OUTCOME_UNKNOWN else result,
            code=code,
            detail=known.name if known else None,
            retry_after_s=retry_after_s,
            listed=known is not None,
        )


def _encoded(address: str) -> str:
    return quote(address, safe="")


def _topic(name: str) -> str:
    if not _TOPIC.fullmatch(name):
        msg = "a topic's name has 1 to 900 of the characters A-Z a-z 0-9 - _ . ~ %"
        raise ValueError(msg)
    return quote(name, safe="")


def _name(body: bytes) -> str | None:
    try:
        return msgspec.json.decode(body, type=_Named).name
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _detail(body: bytes) -> str | None:
    """FCM's own error code inside the answer; null when it has none, or none that looks like one.

    ``INVALID_ADDRESS`` is ours: an invalid argument where FCM names the address as the field.
    """
    try:
        details = msgspec.json.decode(body, type=_Refused).error.details
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    codes = [str(d.get("errorCode", "")) for d in details if d.get("@type") == _FCM_ERROR]
    if not codes or not _CODE.fullmatch(codes[0]):
        return None
    if codes[0] == "INVALID_ARGUMENT" and any(map(_blames_the_address, details)):
        return "INVALID_ADDRESS"
    return codes[0]


def _blames_the_address(detail: dict[str, Any]) -> bool:
    violations = detail.get("fieldViolations")
    if detail.get("@type") != _BAD_REQUEST or not isinstance(violations, list):
        return False
    return any(isinstance(v, dict) and v.get("field") in _ADDRESS_FIELDS for v in violations)
