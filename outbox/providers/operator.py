"""The operator's own path: a webhook that shares nothing with Twilio, FCM or this Postgres.

What if the response is lost? It is posted again under the same Idempotency-Key: being called
twice is better than not at all.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from urllib.parse import urlsplit

import msgspec

from outbox.domain.messages import Page
from outbox.domain.outcomes import Outcome, Result
from outbox.providers.calls import Call
from outbox.providers.transport import (
    TOTAL_TIMEOUT_S,
    Transport,
    TransportFault,
    retry_after_s,
)

_PROVIDER = "operator"
_OK = range(200, 300)
_PASSING = {408, 425, 429}
_SERVER_ERROR = 500


class OperatorWebhook:
    """Calls the person on call by a POST of JSON."""

    def __init__(
        self,
        url: str,
        transport: Transport,
        *,
        total_timeout_s: float = TOTAL_TIMEOUT_S,
    ) -> None:
        """``url`` may hold a secret."""
        self._url = url
        self._transport = transport
        self._total_timeout_s = total_timeout_s

    async def send(self, page: Page) -> Outcome:
        """Post one page; never raises for what the receiver or the network does.

        Nothing gives OUTCOME_UNKNOWN: a response that is lost is RETRYABLE.
        """
        call = Call(_PROVIDER, "operator.page", notification_id=page.notification_id)
        headers = {"Content-Type": "application/json", "Idempotency-Key": page.notification_id}
        try:
            answer = await self._transport.request(
                "POST",
                self._url,
                headers=headers,
                body=msgspec.json.encode(page),
                timeout_s=self._total_timeout_s,
            )
        except TransportFault as fault:
            return call.unanswered(fault, lost=Result.RETRYABLE)
        if answer.status in _OK:
            return call.ended(Result.ACCEPTED)
        passing = answer.status >= _SERVER_ERROR or answer.status in _PASSING
        return call.ended(
            Result.RETRYABLE if passing else Result.CONFIGURATION_FAULT,
            code=str(answer.status),
            retry_after_s=retry_after_s(answer.headers) if passing else None,
        )

    async def check(self) -> Outcome:
        """Whether something listens there, behind TLS if need be; no request is sent."""
        call = Call(_PROVIDER, "operator.page_check")
        parts = urlsplit(self._url)
        tls = ssl.create_default_context() if parts.scheme == "https" else None
        port = parts.port or (443 if tls else 80)
        try:
            async with asyncio.timeout(self._total_timeout_s):
                _, writer = await asyncio.open_connection(parts.hostname, port, ssl=tls)
        except TimeoutError:
            return call.ended(Result.RETRYABLE, code="connect_timeout")
        except ssl.SSLError:
            return call.ended(Result.CONFIGURATION_FAULT, code="tls")
        except socket.gaierror:
            return call.ended(Result.RETRYABLE, code="dns")
        except OSError:
            return call.ended(Result.RETRYABLE, code="connect")
        writer.transport.abort()
        return call.ended(Result.ACCEPTED)
