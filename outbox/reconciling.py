"""Our attempts against Twilio's own list, both directions; to the end, or to where it stops."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

from msgspec import Struct

from outbox.domain.messages import SentSms
from outbox.domain.reconciling import Book, Theirs
from outbox.providers.twilio_list import Listed
from outbox.store import reconciling
from outbox.store.audit import auditor

_SETTLING = timedelta(minutes=2)
"""What was just sent may not be listed, or not be settled, yet."""
_SLACK = timedelta(minutes=5)
"""Between our clock and Twilio's, whose times have no fractions."""
_ASKED = 1000
"""Messages that are asked for by name, as the list does not have them."""


class Messages(Protocol):
    """Who lists messages."""

    def listed(
        self, *, since: datetime, until: datetime | None = None
    ) -> AsyncIterator[list[Listed]]:
        """The newest first."""
        ...

    async def fetch(self, provider_id: str) -> SentSms | None:
        """One message; null when there is none."""
        ...


class Progress(Struct):
    """How far the list was read."""

    messages: int = 0
    oldest: datetime | None = None
    """Of what was compared; whoever goes on begins here."""
    done: bool = False


async def compare(  # noqa: PLR0913 - what is compared, and who is told
    database_url: str,
    twilio: Messages,
    *,
    since: datetime,
    until: datetime | None,
    progress: Progress,
    advance: Callable[[int], None],
) -> Book:
    """Compare what was sent since then, and before ``until``; raises `LookupFailedError`."""
    end = min(until or datetime.now(UTC), datetime.now(UTC) - _SETTLING)
    async with auditor(database_url) as connection:
        book = Book(ours=await reconciling.named(connection, since))
        unexplained: list[Theirs] = []
        async for page in twilio.listed(since=since - _SLACK, until=until):
            recent = [each for each in page if each.created_at < end]
            unexplained += book.compare(
                _theirs(each.provider_id, each.status, each.code, each.reference) for each in page
            )
            progress.messages += len(page)
            advance(len(page))
            if recent:
                progress.oldest = min(each.created_at for each in recent)
        for number, name in enumerate(book.unseen(since=since, until=end)):
            # So many at once are another account's: nobody has to ask for each.
            one = await twilio.fetch(name) if number < _ASKED else None
            if one is None:
                book.absent(name)
            else:
                book.compare([_theirs(name, one.status, one.code, None)])
        found = await reconciling.referred(connection, unexplained, since) if unexplained else {}
        book.explain(unexplained, found)
    progress.done = True
    return book


def _theirs(name: str, status: str, code: str | None, reference: str | None) -> Theirs:
    return Theirs(provider_id=name, status=status, code=code, reference=reference)
