"""Twilio's whole list of messages, page by page, at a gentle pace; no text is kept, nor a number.

A page that cannot be had is asked for again; whoever stops goes on later from the oldest seen.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct
from twilio.base.exceptions import TwilioException
from twilio.rest import Client

from outbox.domain.outcomes import Result
from outbox.providers.calls import MALFORMED, Call
from outbox.providers.transport import TransportFault
from outbox.providers.twilio_http import Exchange, MalformedAnswerError, Message, Page, begin
from outbox.providers.twilio_lookups import LookupFailedError, created_at, failure
from outbox.providers.twilio_refusals import refusal

_PROVIDER = "twilio"
_PAGE_SIZE = 1000
_TRIES = 5
_PAUSE_S = 2.0
"""After a page that could not be had, unless Twilio says for how long; longer each time."""
_SURELY_OLDER = timedelta(days=1)
"""The newest come first, but a queued one is not in its place yet."""
_REFERENCE = re.compile(r"\b([0-9A-HJKMNP-TV-Z]{8})\s*\Z")
"""Every text of ours ends in one."""
_OURS = "outbound"


class Listed(Struct, frozen=True, kw_only=True):
    """What is kept of a message."""

    provider_id: str
    status: str
    code: str | None
    created_at: datetime
    reference: str | None
    """What its text ends in, if that may be a reference of ours."""


class TwilioList:
    """Reads the list from the newest to the oldest."""

    def __init__(
        self,
        client: Client,
        *,
        total_timeout_s: float,
        pace_s: float = 0.5,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """``pace_s`` lies between two pages; the time-out is for one of them."""
        self._client = client
        self._total_timeout_s = total_timeout_s
        self._pace_s = pace_s
        self._sleep = sleep

    async def pages(
        self, *, since: datetime, until: datetime | None
    ) -> AsyncIterator[list[Listed]]:
        """What we sent since then, and before ``until``; raises `LookupFailedError`.

        With ``until`` only what has left by then is listed, as Twilio filters by that time.
        """
        messages = self._client.messages
        page = await self._persist(
            lambda: messages.page_async(page_size=_PAGE_SIZE, **_before(until))
        )
        while True:
            found, content, following = [], page[0], page[1]
            newest = None
            for message in content.messages:
                at = created_at(message)
                newest = at if newest is None else max(newest, at)
                if at >= since and (message.direction or _OURS).startswith(_OURS):
                    found.append(_listed(message, at))
            yield found
            if following.next_page_url is None:
                return
            if newest is not None and newest < since - _SURELY_OLDER:
                return
            await self._sleep(self._pace_s)
            page = await self._persist(following.next_page_async)

    async def _persist(self, ask: Callable[[], Awaitable[Any]]) -> tuple[Page, Any]:
        """One page, with the SDK's own for the way to the next."""
        tries = 0
        while True:
            tries += 1
            call, exchange = Call(_PROVIDER, "sms.list"), begin(self._total_timeout_s)
            try:
                answer = await ask()
                page = exchange.success(Page)
            except (TransportFault, MalformedAnswerError, TwilioException) as error:
                failed = _failed(error, exchange)
            else:
                call.ended(Result.ACCEPTED, found=len(page.messages))
                return page, answer
            again = failed.retryable and tries < _TRIES
            call.ended(Result.RETRYABLE if again else Result.CONFIGURATION_FAULT, code=failed.code)
            if not again:
                # Without its context: the SDK's exceptions quote answers, which hold numbers.
                raise failed from None
            await self._sleep(failed.retry_after_s or _PAUSE_S * tries)


def _before(until: datetime | None) -> dict[str, datetime]:
    return {} if until is None else {"date_sent_before": until}


def _failed(error: Exception, exchange: Exchange) -> LookupFailedError:
    if isinstance(error, TransportFault):
        return LookupFailedError(error.kind, retryable=True)
    if isinstance(error, TwilioException):
        return failure(refusal(error, exchange.answer))
    return LookupFailedError(MALFORMED, retryable=True)


def _listed(message: Message, at: datetime) -> Listed:
    found = _REFERENCE.search(message.body or "")
    code = None if message.error_code is None else str(message.error_code)
    return Listed(
        provider_id=message.sid,
        status=message.status,
        code=code,
        created_at=at,
        reference=found[1] if found else None,
    )
