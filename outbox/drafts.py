"""Drafts: a notification with its plan chosen and its content sealed, ready to be stored."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from msgspec.structs import replace

from outbox.domain import content as contents
from outbox.domain import plans
from outbox.domain.content import Content
from outbox.domain.ids import key_shard, new_id, shard_of
from outbox.domain.intake import Alerted, NewEvent, NewNotification
from outbox.domain.phones import country_of_range
from outbox.domain.policy import Policy, default_policy
from outbox.domain.texts import MissingValueError, missing, template_of
from outbox.sealing import Sealer

OPERATOR = "operator"
"""Recipient of the calls for the person on call, and subject of our own events."""

SOURCE = "pruuf"
"""Source of our own events."""

ALL_CLEAR = "checkin.all_clear"

PAGE = "operator.page"
"""Kind of the call for the person on call."""


def draft(  # noqa: PLR0913 - the parts of a notification
    sealer: Sealer,
    *,
    kind: str,
    recipient: str,
    locale: str,
    content: Content,
    shard: int,
    policy: Policy | None = None,
    clears: UUID | None = None,
    plan_of: str | None = None,
) -> NewNotification:
    """One notification of ``kind`` under its current plan, or that of ``plan_of``, and template.

    Raises `MissingValueError` when its texts need a value that ``content`` does not have.
    """
    policy = policy or default_policy()
    plan = policy.plan(plan_of or kind)
    template = template_of(kind)
    if lacking := missing(template, content):
        msg = f"the text of {kind} needs {', '.join(lacking)}"
        raise MissingValueError(msg)
    notification = new_id(shard)
    return NewNotification(
        id=notification,
        recipient=recipient,
        kind=kind,
        lane=int(plan.lane_number),
        plan=policy.encoded(plan_of or kind),
        template=template,
        locale=locale,
        content=sealer.seal(
            contents.encode(content),
            table="notification",
            row=str(notification),
            field="content",
        ),
        expires_after_s=plan.expires_after_s,
        first_step=_first_step(plan, content),
        phone_hash=None if content.phone is None else sealer.lookup(content.phone),
        clears=clears,
        country=None if content.phone is None else country_of_range(content.phone),
    )


def page_draft(
    sealer: Sealer,
    *,
    shard: int,
    summary: str,
    reason: str = "no_contact",
    policy: Policy | None = None,
) -> NewNotification:
    """A call for the person on call; ``summary`` names ids, never people."""
    return draft(
        sealer,
        kind=PAGE,
        recipient=OPERATOR,
        locale="en",
        content=Content(summary=summary, page_reason=reason),
        shard=shard,
        policy=policy,
    )


def notice_draft(
    sealer: Sealer,
    *,
    summary: str,
    reason: str,
    policy: Policy | None = None,
) -> NewEvent:
    """An event of our own that is nothing but a page: a fault of the service, not of one alert."""
    shard = shard_of(OPERATOR)
    page = page_draft(sealer, shard=shard, summary=summary, reason=reason, policy=policy)
    return own_event(sealer, type_="operator.notice", subject=OPERATOR, notifications=(page,))


def own_event(
    sealer: Sealer,
    *,
    type_: str,
    subject: str,
    notifications: tuple[NewNotification, ...],
) -> NewEvent:
    """An event that this service itself makes; its data names its type alone."""
    shard = shard_of(subject)
    event = new_id(shard)
    data = type_.encode()
    return NewEvent(
        id=event,
        shard=shard,
        key_shard=key_shard(SOURCE, str(event)),
        source=SOURCE,
        source_id=str(event),
        type=type_,
        subject=subject,
        occurred_at=datetime.now(UTC),
        content_hash=sealer.content_hash(data),
        traceparent=None,
        data=sealer.seal(data, table="event", row=str(event), field="data"),
        keep_key=True,
        notifications=notifications,
    )


class AllClears:
    """Makes the all-clears for those whom an alert may have reached, as it reached them."""

    def __init__(self, sealer: Sealer, policy: Policy) -> None:
        """The alert's own content is unsealed, and sealed again for the new row."""
        self._sealer = sealer
        self._policy = policy

    def draft(self, alerted: Alerted, shard: int, at: datetime) -> NewNotification:
        """For one of them; ``at`` is when the Member checked in."""
        if alerted.recipient == OPERATOR:
            summary = f"Resolved: {alerted.subject} has checked in."
            content = Content(summary=summary, page_reason="resolved")
        else:
            row = str(alerted.id)
            plain = self._sealer.unseal(
                alerted.content, table="notification", row=row, field="content"
            )
            content = replace(contents.decode(plain), at=at)
        return draft(
            self._sealer,
            kind=PAGE if alerted.recipient == OPERATOR else ALL_CLEAR,
            recipient=alerted.recipient,
            locale=alerted.locale,
            content=content,
            shard=shard,
            policy=self._policy,
            clears=alerted.id,
        )


def _first_step(plan: plans.Plan, content: Content) -> int:
    """The first step that can work at all: without a number, not an SMS."""
    for index, step in enumerate(plan.steps):
        if step.channel is not plans.Channel.SMS or content.phone is not None:
            return index
    return len(plan.steps)
