"""Providers that a test decides for, with a ledger of what they accepted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import count
from uuid import UUID

from msgspec import Struct

from outbox.domain.callbacks import Callback
from outbox.domain.messages import Page, Push, SentSms, Sms
from outbox.domain.outcomes import Outcome, Result
from outbox.domain.references import Purpose, Reference, ReferenceSigner
from outbox.providers.stripe import StripeBilling
from outbox.providers.twilio import LookupFailedError

_BROKEN = "503"
SENDERS = ("+12025550191", "+12025550192")


def accepted(provider: str = "twilio", provider_id: str | None = None) -> Outcome:
    return Outcome(result=Result.ACCEPTED, provider=provider, provider_id=provider_id)


def refused(
    result: Result,
    code: str | None = None,
    *,
    provider: str = "twilio",
    wish: float | None = None,
) -> Outcome:
    return Outcome(result=result, provider=provider, code=code, retry_after_s=wish, latency_ms=1)


UNKNOWN = refused(Result.OUTCOME_UNKNOWN, "timeout")
"""The provider took it and the answer was lost."""

NEVER_ARRIVED = refused(Result.OUTCOME_UNKNOWN, "timeout ")
"""As `UNKNOWN` to whoever called, but the provider has nothing."""


class Taken(Struct, frozen=True, kw_only=True):
    """A text that Twilio accepted."""

    sid: str
    sms: Sms
    reference: Reference


class FakeTwilio:
    """Texts; an answer is chosen by ``answer``, what it tells when asked by ``status``."""

    def __init__(self, signer: ReferenceSigner) -> None:
        self._signer = signer
        self._numbers = count(1)
        self.answer: Callable[[Sms], Outcome] = lambda _: accepted()
        self.calls: list[Sms] = []
        self.taken: list[Taken] = []
        self.asked = 0
        self.fetched = 0
        self.can_be_asked = True
        self.status: Callable[[Taken], tuple[str, str | None]] = lambda _: ("queued", None)
        self.held: asyncio.Event | None = None

    async def send(self, sms: Sms) -> Outcome:
        self.calls.append(sms)
        if self.held is not None:
            await self.held.wait()
        outcome = self.answer(sms)
        if outcome.result in {Result.ACCEPTED, Result.WARNING} or outcome is UNKNOWN:
            reference = self._signer.verify(sms.reference, Purpose.SMS_STATUS)
            assert reference is not None
            sid = f"SM{next(self._numbers):032x}"
            self.taken.append(Taken(sid=sid, sms=sms, reference=reference))
            if outcome is not UNKNOWN:
                return accepted(provider_id=sid)
        return outcome

    async def find(self, *, to: str, sent_since: datetime, containing: str) -> Sequence[SentSms]:
        self.asked += 1
        if not self.can_be_asked:
            raise LookupFailedError(_BROKEN, retryable=True)
        assert sent_since < datetime.now(UTC)
        return [
            self._shown(one)
            for one in self.taken
            if one.sms.to == to and containing in one.sms.body
        ]

    async def fetch(self, provider_id: str) -> SentSms | None:
        self.fetched += 1
        if not self.can_be_asked:
            raise LookupFailedError(_BROKEN, retryable=True)
        return next((self._shown(one) for one in self.taken if one.sid == provider_id), None)

    def _shown(self, one: Taken) -> SentSms:
        status, code = self.status(one)
        return SentSms(provider_id=one.sid, status=status, code=code, created_at=datetime.now(UTC))

    def texts_of(self, notification: UUID) -> list[Taken]:
        """What it accepted of one notification."""
        return [one for one in self.taken if one.reference.notification == notification]


class FakeFcm:
    """Pushes."""

    def __init__(self, signer: ReferenceSigner) -> None:
        self._signer = signer
        self.answer: Callable[[Push], Outcome] = lambda _: accepted("fcm", "projects/p/messages/1")
        self.calls: list[Push] = []
        self.taken: list[tuple[Push, Reference]] = []

    async def send(self, push: Push) -> Outcome:
        self.calls.append(push)
        outcome = self.answer(push)
        if outcome.result is Result.ACCEPTED:
            token = push.data["receipt_token"]
            reference = self._signer.verify(token, Purpose.PUSH_RECEIPT)
            assert reference is not None
            self.taken.append((push, reference))
        return outcome


class FakePager:
    """Pages, each once by its notification."""

    def __init__(self) -> None:
        self.answer: Callable[[Page], Outcome] = lambda _: accepted("operator")
        self.pages: dict[str, Page] = {}

    async def send(self, page: Page) -> Outcome:
        outcome = self.answer(page)
        if outcome.result is Result.ACCEPTED:
            self.pages[page.notification_id] = page
        return outcome

    @property
    def reasons(self) -> list[str]:
        return [page.reason for page in self.pages.values()]


class Made(Struct, frozen=True):
    """In place of the real providers."""

    sms: FakeTwilio
    push: FakeFcm
    pager: FakePager
    senders: tuple[str, ...]
    stripe: StripeBilling | None = None


def said(taken: Taken, status: str, code: str | None = None) -> Callback:
    """A status callback of Twilio, as the gateway would store it."""
    return Callback(
        source="twilio",
        status=status,
        provider_id=taken.sid,
        code=code,
        notification=taken.reference.notification,
        step=taken.reference.step,
        fence=taken.reference.fence,
    )


def acknowledged(reference: Reference, status: str = "received") -> Callback:
    """The app's acknowledgement."""
    return Callback(
        source="app",
        status=status,
        notification=reference.notification,
        step=reference.step,
        fence=reference.fence,
        ordinal=reference.ordinal,
    )
