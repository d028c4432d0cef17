"""Topics that devices follow: what is wanted, from which every command to FCM follows.

A change is recorded here and its commands are stored in the same transaction. Rows are of a
recipient's shard; whoever changes them has locked the recipient, then its devices.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable
from datetime import timedelta

from msgspec import Struct
from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from outbox.domain.announcements import LANGUAGE_TOPIC, language_topic
from outbox.domain.ids import shard_of
from outbox.sealing import Sealer, UnsealError
from outbox.store import tables
from outbox.store.devices import row_name

_log = logging.getLogger(__name__)

MAX_TOPICS = 50
"""Of one device, beside its language; FCM's own limit is 2,000."""

_AGAIN_AFTER = timedelta(days=7)
"""As long as a command is tried: until then a repeated wish is on its way or done, and afterwards
it mends what got lost at FCM."""

_topics = tables.topic_device
_devices = tables.device
_recipients = tables.recipient


class Address(Struct, frozen=True):
    """Where a push to one device goes, unsealed."""

    value: str
    kind: str


class Change(Struct, frozen=True):
    """An address and a topic whose subscription may have to change; which way is looked up."""

    address: Address
    topic: str


class TooManyTopicsError(Exception):
    """The device follows as many topics as it may."""


async def follow(
    connection: AsyncConnection,
    sealer: Sealer,
    recipient: str,
    device: str,
    topic: str,
) -> list[Change] | None:
    """Record that a device follows a topic, and its language; null when there is no such device.

    Nothing is to be done for what was recorded within a week.
    """
    shard = shard_of(recipient)
    locale = await _locked(connection, recipient)
    found = await _addresses(connection, sealer, recipient, device)
    if locale is None or device not in found:
        return None
    topics = await _of_device(connection, recipient, device)
    mine = [each for each in topics if not each.startswith(LANGUAGE_TOPIC)]
    if topic not in mine and len(mine) >= MAX_TOPICS:
        raise TooManyTopicsError
    wanted = [topic, language_topic(locale)]
    statement = insert(_topics).values(
        [
            {"shard": shard, "recipient": recipient, "device": device, "topic": each}
            for each in sorted(wanted)
        ],
    )
    recorded = await connection.execute(
        statement.on_conflict_do_update(
            index_elements=[
                _topics.c.shard,
                _topics.c.recipient,
                _topics.c.device,
                _topics.c.topic,
            ],
            set_={"at": func.now()},
            where=_topics.c.at < func.now() - _AGAIN_AFTER,
        ).returning(_topics.c.topic),
    )
    return _changes(found[device], recorded.scalars())


async def unfollow(
    connection: AsyncConnection,
    sealer: Sealer,
    recipient: str,
    device: str,
    topic: str,
) -> list[Change]:
    """Record that a device follows a topic no more, nor its language after the last one."""
    await _locked(connection, recipient)
    found = await _addresses(connection, sealer, recipient, device)
    topics = await _of_device(connection, recipient, device)
    if topic not in topics:
        return []
    gone = [topic]
    if all(each.startswith(LANGUAGE_TOPIC) for each in topics if each != topic):
        gone = topics
    await connection.execute(
        delete(_topics)
        .where(*_where(recipient), _topics.c.device == device)
        .where(_topics.c.topic.in_(gone)),
    )
    return _changes(found.get(device), gone)


async def address_of(
    connection: AsyncConnection,
    sealer: Sealer,
    recipient: str,
    device: str,
) -> Address | None:
    """The address of a device before it is replaced, locked; null unless it may still work."""
    await _locked(connection, recipient)
    return (await _addresses(connection, sealer, recipient, device)).get(device)


async def new_address(
    connection: AsyncConnection,
    recipient: str,
    device: str,
    *,
    old: Address | None,
    new: Address,
) -> list[Change]:
    """What a device follows moves to its new address, and the old one is let go if it lives."""
    if old == new:
        return []
    moved = await connection.execute(
        update(_topics)
        .where(*_where(recipient), _topics.c.device == device)
        .values(at=func.now())
        .returning(_topics.c.topic),
    )
    topics = sorted(moved.scalars())
    return [*_changes(new, topics), *_changes(old, topics)]


async def new_language(
    connection: AsyncConnection,
    sealer: Sealer,
    recipient: str,
    locale: str,
) -> list[Change]:
    """Devices that follow something follow another language; to be called before it is stored."""
    before = await _locked(connection, recipient)
    wanted = language_topic(locale)
    if before is None or language_topic(before) == wanted:
        return []
    found = await _addresses(connection, sealer, recipient)
    left = await connection.execute(
        delete(_topics)
        .where(*_where(recipient))
        .where(_topics.c.topic.startswith(LANGUAGE_TOPIC, autoescape=True))
        .returning(_topics.c.device, _topics.c.topic),
    )
    changes: list[Change] = []
    for device, topic in sorted(tuple(row) for row in left):
        await connection.execute(
            insert(_topics)
            .values(shard=shard_of(recipient), recipient=recipient, device=device, topic=wanted)
            .on_conflict_do_nothing(),
        )
        changes += _changes(found.get(device), (topic, wanted))
    return changes


async def forget(
    connection: AsyncConnection,
    sealer: Sealer,
    recipient: str,
    device: str | None = None,
) -> list[Change]:
    """Forget what a device follows, or every device of a recipient; to be called before it goes."""
    await _locked(connection, recipient)
    found = await _addresses(connection, sealer, recipient, device)
    gone = delete(_topics).where(*_where(recipient)).returning(_topics.c.device, _topics.c.topic)
    if device is not None:
        gone = gone.where(_topics.c.device == device)
    followed: defaultdict[str, list[str]] = defaultdict(list)
    for of_device, topic in await connection.execute(gone):
        followed[of_device].append(topic)
    return [
        change
        for of_device in sorted(followed)
        for change in _changes(found.get(of_device), sorted(followed[of_device]))
    ]


def _where(recipient: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return _topics.c.shard == shard_of(recipient), _topics.c.recipient == recipient


def _changes(address: Address | None, topics: Iterable[str]) -> list[Change]:
    # An address that is dead follows nothing, and one that does not open cannot be named.
    return [] if address is None else [Change(address, topic) for topic in topics]


async def _of_device(connection: AsyncConnection, recipient: str, device: str) -> list[str]:
    found = await connection.execute(
        select(_topics.c.topic)
        .where(*_where(recipient), _topics.c.device == device)
        .order_by(_topics.c.topic),
    )
    return list(found.scalars())


async def _locked(connection: AsyncConnection, recipient: str) -> str | None:
    """The recipient's locale, and nobody else changes what its devices follow; null: unknown."""
    found = await connection.execute(
        select(_recipients.c.locale)
        .where(_recipients.c.shard == shard_of(recipient), _recipients.c.id == recipient)
        .with_for_update(),
    )
    locale: str | None = found.scalar_one_or_none()
    return locale


async def _addresses(
    connection: AsyncConnection,
    sealer: Sealer,
    recipient: str,
    device: str | None = None,
) -> dict[str, Address | None]:
    """Devices, locked, and their addresses; null for one that is dead or does not open."""
    statement = select(
        _devices.c.id,
        _devices.c.token,
        _devices.c.address_kind,
        _devices.c.dead_at,
    ).where(_devices.c.shard == shard_of(recipient), _devices.c.recipient == recipient)
    if device is not None:
        statement = statement.where(_devices.c.id == device)
    found = await connection.execute(statement.order_by(_devices.c.id).with_for_update())
    return {
        each: None if dead_at is not None else _opened(sealer, recipient, each, bytes(token), kind)
        for each, token, kind, dead_at in found
    }


def _opened(sealer: Sealer, recipient: str, device: str, token: bytes, kind: str) -> Address | None:
    row = row_name(recipient, device)
    try:
        value = sealer.unseal(token, table="device", row=row, field="token").decode()
    except UnsealError:
        _log.error("the address of a device does not open: what it follows cannot be changed")
        return None
    return Address(value, kind)
