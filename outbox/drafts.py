"""Drafts: a notification with its plan chosen and its content sealed, ready to be stored."""

from __future__ import annotations

from outbox.domain import content as contents
from outbox.domain import plans
from outbox.domain.content import Content
from outbox.domain.ids import new_id
from outbox.domain.intake import NewNotification
from outbox.domain.texts import template_of
from outbox.sealing import Sealer

PAGE = "operator.page"
"""Kind of the call for the person on call."""


def draft(
    sealer: Sealer,
    *,
    kind: str,
    recipient: str,
    locale: str,
    content: Content,
    shard: int,
) -> NewNotification:
    """One notification of ``kind`` under its current plan and template."""
    plan = plans.defaults()[kind]
    notification = new_id(shard)
    return NewNotification(
        id=notification,
        recipient=recipient,
        kind=kind,
        lane=int(plan.lane_number),
        plan=plans.encoded(kind),
        template=template_of(kind),
        locale=locale,
        content=sealer.seal(
            contents.encode(content),
            table="notification",
            row=str(notification),
            field="content",
        ),
        expires_after_s=plan.expires_after_s,
        first_step=_first_step(plan, content),
    )


def page_draft(sealer: Sealer, *, shard: int, summary: str) -> NewNotification:
    """A call for the person on call; ``summary`` names ids, never people."""
    return draft(
        sealer,
        kind=PAGE,
        recipient="operator",
        locale="en",
        content=Content(summary=summary),
        shard=shard,
    )


def _first_step(plan: plans.Plan, content: Content) -> int:
    """The first step that can work at all: without a number, not an SMS."""
    for index, step in enumerate(plan.steps):
        if step.channel is not plans.Channel.SMS or content.phone is not None:
            return index
    return len(plan.steps)
