"""Asks Twilio what it has; reads only, so a lost response is simply asked for again.

"It has no such message" is an answer of Twilio's own, never an error, a proxy's page or a list
that was not read to its end.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from twilio.base.exceptions import TwilioException
from twilio.rest import Client

from outbox.domain.messages import SentSms
from outbox.domain.outcomes import Result
from outbox.providers.calls import MALFORMED, Call
from outbox.providers.transport import TransportFault
from outbox.providers.twilio_http import Exchange, MalformedAnswerError, Message, Page, begin
from outbox.providers.twilio_refusals import Refusal, refusal

_PROVIDER = "twilio"
_OK = 200
_NOT_FOUND = 404
_NO_SUCH_RESOURCE = "20404"
_PAGE_SIZE = 200
_MAX_PAGES = 5
_WHOLE_SECOND = timedelta(seconds=1)
"""Twilio's dates have no fractions."""
_SURELY_OLDER = timedelta(days=1)
"""A page whose messages are all older than that ends the search: the newest come first, but a
queued one is not in its place yet."""

_Look = Callable[[Exchange], Awaitable[list[SentSms]]]


class LookupFailedError(Exception):
    """Twilio could not be asked what it has."""

    def __init__(self, code: str, *, retryable: bool, retry_after_s: float | None = None) -> None:
        """``retryable``: asking again later may work; else a person has to put something right."""
        super().__init__(code)
        self.code = code
        self.retryable = retryable
        self.retry_after_s = retry_after_s


class TwilioLookups:
    """Twilio's messages, by number and by name."""

    def __init__(self, client: Client, *, total_timeout_s: float) -> None:
        """``client`` is the adapter's; the time-out is for all requests of one question."""
        self._client = client
        self._total_timeout_s = total_timeout_s

    async def find(
        self,
        *,
        to: str,
        sent_since: datetime,
        containing: str,
    ) -> Sequence[SentSms]:
        """Messages to a number created since then whose text contains the reference.

        Filtered by the number and by our own look at the dates: a queued message has no DateSent
        that could be asked for. Nothing found means that all was seen; raises `LookupFailedError`
        where that is not so.
        """
        return await self._asked(
            "sms.find",
            lambda exchange: self._pages(exchange, to, sent_since, containing),
        )

    async def fetch(self, provider_id: str) -> SentSms | None:
        """One message by Twilio's name for it; null when Twilio says that it has none.

        Raises `LookupFailedError` like `find`, also for a 404 that is not Twilio's own.
        """
        found = await self._asked("sms.fetch", lambda exchange: self._one(exchange, provider_id))
        return found[0] if found else None

    async def _asked(self, event: str, look: _Look) -> list[SentSms]:
        call, exchange = Call(_PROVIDER, event), begin(self._total_timeout_s)
        try:
            found = await look(exchange)
        except LookupFailedError as error:
            failed = error
        except TransportFault as fault:
            failed = LookupFailedError(fault.kind, retryable=True)
        except MalformedAnswerError:
            failed = LookupFailedError(MALFORMED, retryable=True)
        except TwilioException as error:
            failed = failure(refusal(error, exchange.answer))
        else:
            call.ended(Result.ACCEPTED, found=len(found), requests=exchange.requests)
            return found
        again = Result.RETRYABLE if failed.retryable else Result.CONFIGURATION_FAULT
        call.ended(again, code=failed.code, requests=exchange.requests)
        # Without its context: the SDK's exceptions quote answers, which hold phone numbers.
        raise failed from None

    async def _pages(
        self,
        exchange: Exchange,
        to: str,
        sent_since: datetime,
        containing: str,
    ) -> list[SentSms]:
        found = []
        page = await self._client.messages.page_async(to=to, page_size=_PAGE_SIZE)
        while True:
            newest = datetime.min.replace(tzinfo=UTC)
            for message in exchange.success(Page).messages:
                created = created_at(message)
                newest = max(newest, created)
                recent = created + _WHOLE_SECOND >= sent_since
                if recent and containing in (message.body or ""):
                    found.append(_sent(message, created))
            if page.next_page_url is None or newest < sent_since - _SURELY_OLDER:
                return found
            if exchange.requests == _MAX_PAGES:
                why = "too_many_messages"
                raise LookupFailedError(why, retryable=False)
            page = await page.next_page_async()

    async def _one(self, exchange: Exchange, provider_id: str) -> list[SentSms]:
        try:
            await self._client.messages(provider_id).fetch_async()
        except TwilioException as error:
            answer = exchange.answer
            refused = refusal(error, answer)
            if answer and answer.status == _NOT_FOUND and refused.code == _NO_SUCH_RESOURCE:
                return []
            raise
        if exchange.answer is not None and exchange.answer.status != _OK:
            # The SDK lets redirects pass for answers.
            raise LookupFailedError(str(exchange.answer.status), retryable=False)
        message = exchange.success(Message)
        return [_sent(message, created_at(message))]


def failure(refused: Refusal) -> LookupFailedError:
    """What it means for a question that Twilio refused it."""
    passing = refused.result in {Result.RETRYABLE, Result.OUTCOME_UNKNOWN}
    return LookupFailedError(refused.code, retryable=passing, retry_after_s=refused.retry_after_s)


def created_at(message: Message) -> datetime:
    """When Twilio made it; a date that cannot be read counts as new, so that it is looked at."""
    try:
        created = parsedate_to_datetime(message.date_created or "")
    except (TypeError, ValueError):
        return datetime.now(UTC)
    return created if created.tzinfo else created.replace(tzinfo=UTC)


def _sent(message: Message, created_at: datetime) -> SentSms:
    code = None if message.error_code is None else str(message.error_code)
    return SentSms(provider_id=message.sid, status=message.status, code=code, created_at=created_at)
