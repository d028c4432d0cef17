"""The operator's other path: mail, which shares nothing with Twilio, FCM, this Postgres or the web.

What if the answer is lost? It is handed over again under the same Message-ID, by which mailboxes
tell a repetition: being called twice is better than not at all.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from email.message import EmailMessage
from email.utils import format_datetime

from outbox.domain.messages import Page
from outbox.domain.outcomes import Outcome, Result
from outbox.providers.calls import Call
from outbox.providers.operator_smtp import Refusal, SmtpSession
from outbox.providers.transport import TOTAL_TIMEOUT_S
from outbox.settings import SmtpAddress

_PROVIDER = "operator"


class OperatorMail:
    """Hands mail for the person on call to one server."""

    def __init__(
        self,
        address: SmtpAddress,
        *,
        tls: ssl.SSLContext | None = None,
        total_timeout_s: float = TOTAL_TIMEOUT_S,
    ) -> None:
        """``tls``: whom to trust, if others than the system does."""
        self._address = address
        self._tls = tls
        self._total_timeout_s = total_timeout_s

    async def send(self, page: Page) -> Outcome:
        """Hand one page over; never raises for what the server or the network does.

        Nothing gives OUTCOME_UNKNOWN: an answer that is lost is RETRYABLE.
        """
        message = self._message(page)
        call = Call(_PROVIDER, "operator.mail", notification_id=page.notification_id)
        return await self._talk(call, lambda session: session.hand_over(message))

    async def check(self) -> Outcome:
        """Whether the server is there and lets us in; nothing is handed over."""
        return await self._talk(Call(_PROVIDER, "operator.mail_check"), SmtpSession.greet)

    def _message(self, page: Page) -> EmailMessage:
        # Ids are chosen by others: no line break of theirs may get into a header.
        summary = "".join(letter if letter.isprintable() else " " for letter in page.summary)
        message = EmailMessage()
        message["From"] = self._address.sender
        message["To"] = ", ".join(self._address.recipients)
        message["Subject"] = f"[Pruuf] {summary}"
        message["Date"] = format_datetime(page.occurred_at)
        domain = self._address.sender.rpartition("@")[2]
        message["Message-ID"] = f"<{page.notification_id}@{domain}>"
        message["Auto-Submitted"] = "auto-generated"
        message["Importance"] = "high"
        message.set_content(
            f"{summary}\n\n"
            f"Reason: {page.reason}\n"
            f"Since: {page.occurred_at:%Y-%m-%d %H:%M:%S %Z}\n"
            f"Event: {page.event_id}\n"
            f"Page: {page.notification_id}\n\n"
            f"Everything known of it: pruuf trace {page.event_id}\n",
        )
        return message

    async def _talk(self, call: Call, work: Callable[[SmtpSession], int]) -> Outcome:
        """Talk in a thread; when the time is up the connection is broken, and the thread ends."""
        session = SmtpSession(self._address, tls=self._tls, timeout_s=self._total_timeout_s)
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[int] = loop.create_future()

        def talk() -> None:
            error: BaseException | None = None
            refused = 0
            try:
                refused = work(session)
            except Exception as raised:  # noqa: BLE001 - told to whoever waits
                error = raised
            with suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(_end, ended, refused, error)

        # Not in the loop's own threads: the end of the process would wait for those.
        threading.Thread(target=talk, name="operator mail", daemon=True).start()
        try:
            async with asyncio.timeout(self._total_timeout_s):
                refused = await ended
        except TimeoutError:
            code = "timeout" if session.connected else "connect_timeout"
            return call.ended(Result.RETRYABLE, code=code)
        except Refusal as refusal:
            result = Result.RETRYABLE if refusal.passing else Result.CONFIGURATION_FAULT
            return call.ended(result, code=refusal.code)
        finally:
            session.abort()
        return call.ended(Result.ACCEPTED, refused=refused)


def _end(ended: asyncio.Future[int], refused: int, error: BaseException | None) -> None:
    if ended.done():
        return
    if error is None:
        ended.set_result(refused)
    else:
        ended.set_exception(error)
