"""The operator's own path: a webhook that shares nothing with Twilio, FCM or this Postgres.

What if the response is lost? It is posted again under the same Idempotency-Key: being called
twice is better than not at all.
"""

from __future__ import annotations

import time

import msgspec

from observability.logs import wide
from outbox.domain.messages import Page
from outbox.domain.outcomes import Outcome, Result
from outbox.providers.transport import Transport, TransportFault, retry_after_s

_PROVIDER = "operator"
_PASSING = {408, 425, 429}
_REDIRECT = 300
_SERVER_ERROR = 500


class OperatorWebhook:
    """Calls the person on call; without an address every call says so."""

    def __init__(self, url: str | None, transport: Transport) -> None:
        """``url`` takes a POST of JSON; null when none is configured."""
        self._url = url
        self._transport = transport

    async def send(self, page: Page) -> Outcome:
        """Post one page."""
        started = time.perf_counter()
        outcome = await self._post(page, started)
        wide(
            "operator.page",
            provider=_PROVIDER,
            result=outcome.result,
            code=outcome.code,
            notification=page.notification_id,
            latency_ms=outcome.latency_ms,
        )
        return outcome

    async def _post(self, page: Page, started: float) -> Outcome:
        if self._url is None:
            return _outcome(Result.CONFIGURATION_FAULT, started, code="no_operator_webhook")
        headers = {"Content-Type": "application/json", "Idempotency-Key": page.notification_id}
        body = msgspec.json.encode(page)
        try:
            answer = await self._transport.request("POST", self._url, headers=headers, body=body)
        except TransportFault as fault:
            return _outcome(Result.RETRYABLE, started, code=fault.kind)
        if answer.status < _REDIRECT:
            return _outcome(Result.ACCEPTED, started)
        passing = answer.status >= _SERVER_ERROR or answer.status in _PASSING
        return _outcome(
            Result.RETRYABLE if passing else Result.CONFIGURATION_FAULT,
            started,
            code=str(answer.status),
            retry_after=retry_after_s(answer.headers),
        )


def _outcome(
    result: Result,
    started: float,
    *,
    code: str | None = None,
    retry_after: float | None = None,
) -> Outcome:
    return Outcome(
        result=result,
        provider=_PROVIDER,
        code=code,
        retry_after_s=retry_after,
        latency_ms=int((time.perf_counter() - started) * 1000),
    )
