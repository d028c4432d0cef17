"""From a decoded event to what the store takes: knowledge checked, plans chosen, texts sealed."""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Protocol
from uuid import UUID

import msgspec
from msgspec import Struct

from gateway.schemas import CheckinConfirmed, CheckinMissed, Contact, Event, Member, MemberInvited
from outbox.domain.content import Content
from outbox.domain.ids import key_shard, new_id, shard_of
from outbox.domain.intake import CheckedIn, Missed, NewEvent, NewNotification
from outbox.domain.phones import problem_with
from outbox.drafts import draft, page_draft
from outbox.sealing import Sealer

_canonical = msgspec.json.Encoder(order="deterministic")


class Fault(Struct, frozen=True):
    """One thing that is wrong with an event."""

    path: str
    got: str
    accepted: str


class Known(Protocol):
    """What is stored of a recipient, unsealed."""

    @property
    def name(self) -> str | None:
        """Their name."""
        ...

    @property
    def phone(self) -> str | None:
        """E.164."""
        ...

    @property
    def locale(self) -> str:
        """BCP 47."""
        ...

    @property
    def timezone(self) -> str:
        """IANA name."""
        ...


def needs_lookup(event: Event) -> Iterator[str]:
    """Ids of Contacts of whom the event says no number: stored recipients may have one."""
    if not isinstance(event, MemberInvited):
        for contact in event.data.contacts:
            if contact.phone is None:
                yield contact.id


@cache
def _zone_is_known(name: str) -> bool:
    try:
        zoneinfo.ZoneInfo(name)
    except (ValueError, zoneinfo.ZoneInfoNotFoundError, OSError):
        return False
    return True


def faults_of(event: Event, known: Mapping[str, Known]) -> list[Fault]:
    """Everything that is wrong with an event beyond its structure."""
    if isinstance(event, MemberInvited):
        invitee = event.data.invitee
        return [
            *_phone_faults("$.data.invitee.phone", invitee.phone),
            *_zone_faults("$.data.invitee.timezone", invitee.timezone),
        ]
    faults: list[Fault] = []
    member = event.data.member
    if event.subject != member.id:
        faults.append(Fault("$.subject", "another id", "the same as $.data.member.id"))
    if isinstance(event, CheckinMissed) and member.phone is None:
        faults.append(Fault("$.data.member.phone", "nothing", "the Member's number in E.164"))
    if member.phone is not None:
        faults += _phone_faults("$.data.member.phone", member.phone)
    for index, contact in enumerate(event.data.contacts):
        path = f"$.data.contacts[{index}]"
        faults += _zone_faults(f"{path}.timezone", contact.timezone)
        # An alert is never refused for one Contact's number: that one starts at the next channel.
        if isinstance(event, CheckinMissed):
            continue
        if contact.phone is not None:
            faults += _phone_faults(f"{path}.phone", contact.phone)
        elif contact.id not in known:
            faults.append(
                Fault(f"{path}.phone", "nothing", "a number in E.164, or the id of a stored recipient"),
            )
    return faults


def _phone_faults(path: str, phone: str) -> list[Fault]:
    problem = problem_with(phone)
    return [] if problem is None else [Fault(path, problem, "a number in E.164, like +12025550123")]


def _zone_faults(path: str, zone: str | None) -> list[Fault]:
    if zone is None or _zone_is_known(zone):
        return []
    return [Fault(path, "an unknown time zone", "an IANA name, like America/New_York")]


def _in_utc(event: Event) -> Event:
    """The same event with its times in UTC, so that equal events have equal hashes."""
    time = None if event.time is None else event.time.astimezone(UTC)
    replace = msgspec.structs.replace
    match event:
        case CheckinConfirmed():
            return replace(event, time=time, data=replace(event.data, at=event.data.at.astimezone(UTC)))
        case CheckinMissed():
            due_at = event.data.due_at.astimezone(UTC)
            return replace(event, time=time, data=replace(event.data, due_at=due_at))
        case MemberInvited():
            return replace(event, time=time)


class Preparer:
    """Seals events and chooses plans; holds no state but the keys."""

    def __init__(self, sealer: Sealer) -> None:
        """Take the sealer that all rows are sealed with."""
        self._sealer = sealer

    def prepare(
        self,
        event: Event,
        known: Mapping[str, Known],
        *,
        traceparent: str | None,
    ) -> NewEvent:
        """The event as it will be stored; its faults have been ruled out before."""
        shard = shard_of(event.subject)
        event_id = new_id(shard)
        encoded = _canonical.encode(_in_utc(event))
        rule: CheckedIn | Missed | None = None
        if isinstance(event, MemberInvited):
            notifications: tuple[NewNotification, ...] = (self._invite(event, shard),)
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
            traceparent=traceparent,
            data=self._sealer.seal(encoded, table="event", row=str(event_id), field="data"),
            keep_key=isinstance(event, CheckinMissed),
            notifications=notifications,
            rule=rule,
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
        return page_draft(self._sealer, shard=shard, summary=summary)

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
        )


def _content(contact: Contact, stored: Known | None, member: Member, at: datetime) -> Content:
    phone = contact.phone or (stored.phone if stored else None)
    return Content(
        phone=phone if phone is not None and problem_with(phone) is None else None,
        recipient_name=contact.name or (stored.name if stored else None),
        member_name=member.name,
        member_phone=member.phone,
        at=at,
        timezone=contact.timezone or (stored.timezone if stored else "UTC"),
    )


def prepare_all(
    preparer: Preparer,
    events: Sequence[Event],
    known: Mapping[str, Known],
    traceparent: str | None,
) -> tuple[NewEvent, ...]:
    """The events of one request."""
    return tuple(preparer.prepare(event, known, traceparent=traceparent) for event in events)
