"""Twilio: its SDK builds the requests and maps the errors, our transport carries them.

What if the response is lost? Twilio knows no idempotency key for messages, so the outcome is
unknown: the status callback carries our signed reference, and `TwilioSms.find` asks its list.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from urllib.parse import urlencode

from twilio.base.exceptions import TwilioException
from twilio.rest import Client

from outbox.domain.messages import SentSms, Sms
from outbox.domain.outcomes import Outcome, Result
from outbox.providers.calls import MALFORMED, Call
from outbox.providers.codes import classify_receipt, table
from outbox.providers.transport import TOTAL_TIMEOUT_S, Transport, TransportFault
from outbox.providers.twilio_http import (
    Account,
    MalformedAnswerError,
    Message,
    SdkTransport,
    begin,
)
from outbox.providers.twilio_list import Listed, TwilioList
from outbox.providers.twilio_lookups import LookupFailedError, TwilioLookups
from outbox.providers.twilio_refusals import ended, refusal
from outbox.settings import TwilioSettings

__all__ = ["LookupFailedError", "TwilioSms"]

_PROVIDER = "twilio"
_OK = 200
_ACTIVE = "active"
_INACTIVE = "20005"
_FRAGMENT = "#rc=5&rp=all"
"""Ask for five repetitions of each callback, whatever the fault of our side."""

_NO_EDGE = {"": ""}
"""The SDK's environment; not empty, or it reads the process's, and TWILIO_EDGE moves every call."""


class TwilioSms:
    """Sends texts and finds them again; safe to share within a process."""

    def __init__(
        self,
        settings: TwilioSettings,
        transport: Transport,
        *,
        callback: str,
        total_timeout_s: float = TOTAL_TIMEOUT_S,
    ) -> None:
        """``callback`` is the public address of our status webhook, without a query."""
        self._callback = callback
        self._total_timeout_s = total_timeout_s
        self._client = Client(
            settings.username,
            settings.password,
            settings.account_sid,
            http_client=SdkTransport(transport),
            environment=_NO_EDGE,
        )
        if settings.api_base:
            self._client.api.base_url = settings.api_base
        self._lookups = TwilioLookups(self._client, total_timeout_s=total_timeout_s)
        self._list = TwilioList(self._client, total_timeout_s=total_timeout_s)

    async def send(self, sms: Sms) -> Outcome:
        """Send one text; never raises for what Twilio or the network does.

        A response that is lost gives OUTCOME_UNKNOWN, unless the connection was never made.
        """
        call, exchange = Call(_PROVIDER, "sms.send"), begin(self._total_timeout_s)
        service = sms.sender.startswith("MG")
        try:
            await self._client.messages.create_async(
                to=sms.to,
                body=sms.body,
                status_callback=f"{self._callback}?{urlencode({'ref': sms.reference})}{_FRAGMENT}",
                validity_period=sms.validity_s,
                smart_encoded=True,
                **{"messaging_service_sid" if service else "from_": sms.sender},
            )
            taken = exchange.success(Message)
        except TransportFault as fault:
            return call.unanswered(fault)
        except MalformedAnswerError:
            return call.ended(Result.OUTCOME_UNKNOWN, code=MALFORMED)
        except TwilioException as error:
            return ended(call, refusal(error, exchange.answer))
        code = None if taken.error_code is None else str(taken.error_code)
        result = classify_receipt(taken.status, code)
        return call.ended(result, provider_id=taken.sid, code=code, status=taken.status)

    async def find(
        self,
        *,
        to: str,
        sent_since: datetime,
        containing: str,
    ) -> Sequence[SentSms]:
        """Messages to a number since then whose text holds the reference; see `TwilioLookups`."""
        return await self._lookups.find(to=to, sent_since=sent_since, containing=containing)

    async def fetch(self, provider_id: str) -> SentSms | None:
        """One message by Twilio's name for it, null when it has none; see `TwilioLookups`."""
        return await self._lookups.fetch(provider_id)

    def listed(
        self, *, since: datetime, until: datetime | None = None
    ) -> AsyncIterator[list[Listed]]:
        """Everything that we sent since then, page by page; see `TwilioList`."""
        return self._list.pages(since=since, until=until)

    async def check(self) -> Outcome:
        """Whether the credentials are accepted and the account is active; reads only."""
        call, exchange = Call(_PROVIDER, "sms.check"), begin(self._total_timeout_s)
        try:
            await self._client.api.accounts(self._client.account_sid).fetch_async()
            if exchange.answer is not None and exchange.answer.status != _OK:
                return call.ended(Result.CONFIGURATION_FAULT, code=str(exchange.answer.status))
            account = exchange.success(Account)
        except TransportFault as fault:
            return call.unanswered(fault, lost=Result.RETRYABLE)
        except MalformedAnswerError:
            return call.ended(Result.CONFIGURATION_FAULT, code=MALFORMED)
        except TwilioException as error:
            return ended(call, refusal(error, exchange.answer), lost=Result.RETRYABLE)
        if account.status != _ACTIVE:
            detail = table(_PROVIDER)[_INACTIVE].name
            return call.ended(Result.CONFIGURATION_FAULT, code=_INACTIVE, detail=detail)
        return call.ended(Result.ACCEPTED)
