"""From a decoded event to what the store takes: plans chosen, texts sealed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from gateway import announcements, billing, cards
from gateway.billing_schemas import BillingEvent
from gateway.faults import Known
from gateway.schemas import (
    AlertContact,
    AnnouncementPublished,
    CheckinConfirmed,
    CheckinMissed,
    Contact,
    Event,
    Member,
    MemberInvited,
)
from observability.tracing import SpanContext
from outbox.domain.billing_facts import Fact
from outbox.domain.content import Content
from outbox.domain.ids import key_shard, new_id, shard_of
from outbox.domain.intake import CheckedIn, Missed, NewEvent, NewNotification
from outbox.domain.phones import problem_with
from outbox.domain.policy import Policy
from outbox.domain.zones import is_known as zone_is_known
from outbox.drafts import draft, page_draft
from outbox.sealing import Sealer

_canonical = msgspec.json.Encoder(order="deterministic")


def _in_utc(event: Event) -> Event:
    """The same event with its times in UTC, so that equal events have equal hashes."""
    time = None if event.time is None else event.time.astimezone(UTC)
    replace = msgspec.structs.replace
    match event:
        case CheckinConfirmed():
            return replace(
                event, time=time, data=replace(event.data, at=event.data.at.astimezone(UTC))
            )
        case CheckinMissed():
            due_at = event.data.due_at.astimezone(UTC)
            return replace(event, time=time, data=replace(event.data, due_at=due_at))
        case _:
            return replace(event, time=time)


class Preparer:
    """Seals events and chooses plans; holds no state but keys and policy."""

    def __init__(self, sealer: Sealer, policy: Policy, *, billing: bool = True) -> None:
        """Take the sealer that all rows are sealed with, and the plans in force.

        ``billing``: there is somebody to carry out what it asks for.
        """
        self._billing = billing
        self._sealer = sealer
        self._policy = policy

    def prepare(
        self,
        event: Event,
        known: Mapping[str, Known],
        *,
        trace: SpanContext | None,
        index: int | None = None,
    ) -> NewEvent:
        """The event as it will be stored; its faults have been ruled out before.

        Raises a 400 `Problem` for a billing event where there is no billing, and for a card's
        number; ``index`` in a batch.
        """
        shard = shard_of(event.subject)
        event_id = new_id(shard)
        encoded = _canonical.encode(_in_utc(event))
        if not isinstance(event, CheckinMissed | CheckinConfirmed):
            # An alert is never refused for what somebody wrote into a name.
            cards.refuse(encoded, index=index)
        rule: CheckedIn | Missed | None = None
        fact: Fact | None = None
        notifications: tuple[NewNotification, ...]
        if isinstance(event, BillingEvent):
            if not self._billing:
                raise billing.refused(index)
            fact = billing.fact_of(event, self._sealer)
            notifications = (
                billing.command_of(event, sealer=self._sealer, policy=self._policy, shard=shard),
            )
        elif isinstance(event, MemberInvited):
            notifications = (self._invite(event, shard),)
        elif isinstance(event, AnnouncementPublished):
            notifications = self._announced(event, known, shard)
        else:
            notifications = self._to_contacts(event, known, shard)
            rule = (
                CheckedIn(event.data.at)
                if isinstance(event, CheckinConfirmed)
                else Missed(event.data.due_at, self._page(event_id, event, shard))
            )
        return NewEvent(
            id=event_id,
            shard=shard,
            key_shard=key_shard(event.source, event.id),
            source=event.source,
            source_id=event.id,
            type=str(event.__struct_config__.tag),
            subject=event.subject,
            occurred_at=event.time or datetime.now(UTC),
            content_hash=self._sealer.content_hash(encoded),
            traceparent=None if trace is None else trace.traceparent,
            tracestate=None if trace is None else trace.state,
            data=self._sealer.seal(encoded, table="event", row=str(event_id), field="data"),
            keep_key=isinstance(event, CheckinMissed | BillingEvent),
            notifications=notifications,
            rule=rule,
            fact=fact,
        )

    def _to_contacts(
        self,
        event: CheckinConfirmed | CheckinMissed,
        known: Mapping[str, Known],
        shard: int,
    ) -> tuple[NewNotification, ...]:
        kind = str(event.__struct_config__.tag)
        at = event.data.due_at if isinstance(event, CheckinMissed) else event.data.at
        member: Member = event.data.member
        made: dict[str, NewNotification] = {}
        for contact in event.data.contacts:
            # The same Contact twice is told once.
            if contact.id not in made:
                stored = known.get(contact.id)
                content = _content(contact, stored, member, at)
                locale = contact.locale or (stored.locale if stored else "en-US")
                made[contact.id] = self._draft(kind, contact.id, locale, content, shard)
        return tuple(made.values())

    def _announced(
        self,
        event: AnnouncementPublished,
        known: Mapping[str, Known],
        shard: int,
    ) -> tuple[NewNotification, ...]:
        return tuple(
            draft(
                self._sealer,
                kind=str(event.__struct_config__.tag),
                recipient=told.recipient,
                locale=told.locale,
                content=told.content,
                shard=shard,
                policy=self._policy,
                plan_of=told.plan_of,
            )
            for told in announcements.told_of(event, known)
        )

    def _invite(self, event: MemberInvited, shard: int) -> NewNotification:
        invitee = event.data.invitee
        content = Content(
            phone=invitee.phone,
            recipient_name=invitee.name,
            inviter_name=event.data.inviter.name,
            code=event.data.code,
            timezone=invitee.timezone or "UTC",
        )
        # An invitee without an id is known by a keyed hash of the number only.
        recipient = invitee.id or "phone:" + self._sealer.lookup(invitee.phone).hex()[:24]
        locale = invitee.locale or "en-US"
        return self._draft("member.invited", recipient, locale, content, shard)

    def _page(self, event_id: UUID, event: CheckinMissed, shard: int) -> NewNotification:
        summary = f"Missed check-in of {event.subject} (event {event_id}): there is nobody to tell."
        return page_draft(self._sealer, shard=shard, summary=summary, policy=self._policy)

    def _draft(
        self,
        kind: str,
        recipient: str,
        locale: str,
        content: Content,
        shard: int,
    ) -> NewNotification:
        return draft(
            self._sealer,
            kind=kind,
            recipient=recipient,
            locale=locale,
            content=content,
            shard=shard,
            policy=self._policy,
        )


def _content(
    contact: Contact | AlertContact,
    stored: Known | None,
    member: Member,
    at: datetime,
) -> Content:
    given = (contact.phone, stored.phone if stored else None)
    zone = contact.timezone or (stored.timezone if stored else "UTC")
    return Content(
        phone=next((each for each in given if each and problem_with(each) is None), None),
        recipient_name=contact.name or (stored.name if stored else None),
        member_name=member.name,
        member_phone=member.phone,
        at=at,
        timezone=zone if zone_is_known(zone) else "UTC",
    )


def prepare_all(
    preparer: Preparer,
    events: Sequence[Event],
    known: Mapping[str, Known],
    trace: SpanContext | None,
) -> tuple[NewEvent, ...]:
    """The events of one request."""
    return tuple(
        preparer.prepare(
            event,
            known,
            trace=trace,
            index=index if len(events) > 1 else None,
        )
        for index, event in enumerate(events)
    )
