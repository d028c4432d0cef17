"""The page step of a claim: the person on call is told, by a path of its own."""

from __future__ import annotations

from datetime import UTC, datetime

from outbox.domain.content import Content
from outbox.domain.messages import Page
from outbox.relay.ports import Pager
from outbox.store.claims import Claim
from outbox.store.settle import Attempt


async def page(pager: Pager, claim: Claim, content: Content) -> Attempt:
    """Call the person on call once."""
    at = datetime.now(UTC)
    outcome = await pager.send(
        Page(
            notification_id=str(claim.notification),
            event_id=str(claim.event),
            reason=content.page_reason or "no_contact_reached",
            summary=content.summary or "",
            occurred_at=claim.created_at,
        ),
    )
    return Attempt(channel="page", at=at, outcome=outcome)
