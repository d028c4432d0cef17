"""Twilio: its SDK builds the requests and maps the errors, our transport carries them.

What if the response is lost? Twilio knows no idempotency key for messages, so the outcome is
unknown: the status callback carries our signed reference, and `TwilioSms.find` asks its list.
"""

from __future__ import annotations

import base64
import logging
import time
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from twilio.base.exceptions import TwilioRestException, TwilioServiceException
from twilio.http import AsyncHttpClient
from twilio.http.response import Response
from twilio.rest import Client

from observability.logs import wide
from outbox.domain.messages import SentSms, Sms
from outbox.domain.outcomes import Outcome, Result
from outbox.providers.codes import table, twilio_result
from outbox.providers.transport import Transport, TransportFault, retry_after_s
from outbox.settings import TwilioSettings

_PROVIDER = "twilio"
_MAX_LISTED = 200
_FRAGMENT = "#rc=5&rp=all"
"""Ask for five tries of each callback, whatever the fault of our side."""


_retry_after: ContextVar[float | None] = ContextVar("retry_after", default=None)
"""Of the answer to this task's call: the SDK's exceptions carry no headers."""

_REFUSALS = (TwilioRestException, TwilioServiceException)


class LookupFailedError(Exception):
    """Twilio could not be asked what it has; asking again later may work."""


class _SdkTransport(AsyncHttpClient):
    """Carries the SDK's requests; never logs them, as their addresses hold numbers."""

    def __init__(self, transport: Transport) -> None:
        super().__init__(logging.getLogger("twilio.unused"), is_async=True)
        self._transport = transport

    async def request(  # type: ignore[override]  # noqa: PLR0913 - the SDK's signature
        self,
        method: str,
        uri: str,
        params: Mapping[str, object] | None = None,
        data: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109, ARG002 - the transport's own is total
        allow_redirects: bool = False,  # noqa: FBT001, FBT002, ARG002 - the SDK's signature
    ) -> Response:
        given = dict(headers or {})
        if auth is not None:
            given["Authorization"] = _basic(*auth)
        url = f"{uri}?{urlencode(params)}" if params else uri
        body = urlencode(data).encode() if data else None
        answer = await self._transport.request(method, url, headers=given, body=body)
        _retry_after.set(retry_after_s(answer.headers))
        return Response(answer.status, answer.body.decode("utf-8", "replace"), answer.headers)


def _basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


class TwilioSms:
    """Sends texts and finds them again."""

    def __init__(self, settings: TwilioSettings, transport: Transport, *, callback: str) -> None:
        """``callback`` is the public address of our status webhook, without a query."""
        self._callback = callback
        self._client = Client(
            settings.username,
            settings.password,
            settings.account_sid,
            http_client=_SdkTransport(transport),
        )
        if settings.api_base:
            self._client.api.base_url = settings.api_base

    async def send(self, sms: Sms) -> Outcome:
        """Send one text.

        A response that is lost gives OUTCOME_UNKNOWN, unless the connection was never made.
        """
        started = time.perf_counter()
        sender = (
            {"messaging_service_sid": sms.sender}
            if sms.sender.startswith("MG")
            else {"from_": sms.sender}
        )
        try:
            message = await self._client.messages.create_async(
                to=sms.to,
                body=sms.body,
                status_callback=f"{self._callback}?{urlencode({'ref': sms.reference})}{_FRAGMENT}",
                validity_period=sms.validity_s,
                **sender,  # type: ignore[arg-type]
            )
        except _REFUSALS as error:
            outcome = self._refused(error, started)
        except TransportFault as fault:
            outcome = _outcome(
                Result.RETRYABLE if fault.certainly_unsent else Result.OUTCOME_UNKNOWN,
                started,
                code=fault.kind,
            )
        else:
            outcome = _outcome(Result.ACCEPTED, started, provider_id=message.sid)
        _log("sms.send", outcome)
        return outcome

    def _refused(self, error: TwilioRestException | TwilioServiceException, started: float) -> Outcome:
        code = str(error.code) if error.code else None
        known = table(_PROVIDER).get(code or "")
        return _outcome(
            twilio_result(int(error.status), code),
            started,
            code=code or str(error.status),
            detail=known.name if known else None,
            retry_after=_retry_after.get() if int(error.status) == 429 else None,  # noqa: PLR2004
        )

    async def find(self, *, to: str, sent_since: datetime, containing: str) -> Sequence[SentSms]:
        """Messages to a number since then whose text ends in the reference; reads only.

        Filtered by number and by our own look at the dates: a queued message has no DateSent.
        Raises `LookupFailedError`.
        """
        started = time.perf_counter()
        try:
            listed = await self._client.messages.list_async(to=to, limit=_MAX_LISTED)
        except (*_REFUSALS, TransportFault) as error:
            _log("sms.find", _outcome(Result.RETRYABLE, started, code=type(error).__name__))
            msg = "Twilio could not be asked"
            raise LookupFailedError(msg) from error
        _log("sms.find", _outcome(Result.ACCEPTED, started))
        found = []
        for message in listed:
            created = message.date_created or message.date_sent or datetime.now(UTC)
            if created.tzinfo is None:
                created = created.replace(tzinfo=UTC)
            # Twilio's dates have whole seconds.
            if created + timedelta(seconds=1) < sent_since:
                continue
            if (message.body or "").rstrip().endswith(containing):
                code = str(message.error_code) if message.error_code else None
                found.append(
                    SentSms(
                        provider_id=message.sid or "",
                        status=str(message.status or ""),
                        code=code,
                        created_at=created,
                    ),
                )
        return found

    async def check(self) -> Outcome:
        """Whether the credentials are accepted; reads only."""
        started = time.perf_counter()
        try:
            await self._client.api.accounts(self._client.account_sid).fetch_async()
        except _REFUSALS as error:
            return self._refused(error, started)
        except TransportFault as fault:
            return _outcome(Result.RETRYABLE, started, code=fault.kind)
        return _outcome(Result.ACCEPTED, started)


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


def _log(event: str, outcome: Outcome) -> None:
    wide(
        event,
        provider=_PROVIDER,
        result=outcome.result,
        code=outcome.code,
        provider_id=outcome.provider_id,
        latency_ms=outcome.latency_ms,
    )
