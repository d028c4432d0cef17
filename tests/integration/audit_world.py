"""A ledger with some of everything, all of it in one shard, and roots over all of it."""

from __future__ import annotations

from datetime import timedelta
from itertools import count
from typing import Any

import psycopg
from msgspec.structs import replace

from outbox.auditing import Audit, Report
from outbox.domain.facts import Seals
from outbox.domain.ids import new_id, shard_of
from outbox.domain.inbound import Inbound
from outbox.domain.outcomes import Result
from outbox.drafts import OPERATOR
from outbox.settings import Settings
from outbox.store import actions, inbox
from outbox.store.audit_roots import Extended, extend
from outbox.store.connect import Role, connect
from outbox.store.suppressions import shard_of_hash

from .audit_billing import billing
from .relay_fakes import accepted, acknowledged, refused, said
from .relay_hand import Hand

SHARD = shard_of(OPERATOR)
"""Where our own events go too."""

AHEAD = -180.0
"""As a lag: this minute counts as over."""

_numbers = count(1)


def near(prefix: str) -> str:
    """An id that nobody else has, in this shard."""
    return next(name for n in _numbers if shard_of(name := f"{prefix}-{n}") == SHARD)


def contact(by_hand: Hand) -> tuple[str, str]:
    """Somebody, and a number whose opt-out would be kept in this shard."""
    phones = (f"+1202{5000000 + n:07d}" for n in _numbers)
    phone = next(p for p in phones if shard_of_hash(by_hand.sealer.lookup(p)) == SHARD)
    return near("c"), phone


async def proven(settings: Settings, *, lag_s: float = AHEAD) -> Extended:
    """Make roots over all that is stored."""
    seals, step = Seals(settings.lookup_keys), timedelta(days=1)
    connection = await connect(settings.require_database(), Role.AUDITOR, application="test")
    async with connection:
        # The first time it only notes what is under way.
        await extend(connection, seals, lag_s=lag_s)
        closed = None
        while True:
            extended, step = await extend(connection, seals, lag_s=lag_s, step=step, closed=closed)
            closed = extended.closed
            if not extended.more:
                return extended


async def audited(settings: Settings, *, shards: tuple[int, ...] | None = (SHARD,)) -> Report:
    """What an audit says."""
    wanted = Audit() if shards is None else Audit(shards=shards)
    return await wanted.run(settings, advance=lambda _: None)


def named(report: Report) -> set[tuple[str, str, str]]:
    """Check, table and id of each offender."""
    return {(each.check, each.table, each.id) for found in report.found for each in found.named}


async def build(by_hand: Hand) -> None:
    """Let everything happen once."""
    await _reached(by_hand)
    await _not_reached(by_hand)
    await _texts(by_hand)
    await _by_hand(by_hand)
    await _codes(by_hand)
    await _people(by_hand)
    await _under_way(by_hand)


async def _reached(by_hand: Hand) -> None:
    # By the carrier's word.
    member, someone = near("m"), contact(by_hand)
    noted = by_hand.confirmed(member, someone)
    await by_hand.accept(replace(noted, keep_key=False))
    await by_hand.work()
    await by_hand.hear(
        said(by_hand.twilio.taken[-1], "sent"), said(by_hand.twilio.taken[-1], "delivered")
    )
    # By the app's, after a text that failed.
    member, someone = near("m"), contact(by_hand)
    await by_hand.device(someone[0])
    await by_hand.accept(by_hand.missed(member, someone, hour=1))
    await by_hand.work()
    await by_hand.hear(said(by_hand.twilio.taken[-1], "undelivered", "30005"))
    await by_hand.work()
    await by_hand.hear(acknowledged(by_hand.fcm.taken[-1][1]))
    # An alert that is taken back.
    await by_hand.accept(by_hand.confirmed(member, someone, hour=2))
    await by_hand.work()
    await by_hand.hear(said(by_hand.twilio.taken[-1], "delivered"))


async def _not_reached(by_hand: Hand) -> None:
    by_hand.twilio.answer = lambda _: refused(Result.CHANNEL_FINAL, "21614")
    await by_hand.accept(by_hand.missed(near("m"), contact(by_hand)))
    await by_hand.work()
    # Never sent: overtaken by the check-in.
    by_hand.twilio.answer = lambda _: accepted()
    member, someone = near("m"), contact(by_hand)
    await by_hand.accept(by_hand.missed(member, someone, hour=1))
    await by_hand.accept(by_hand.confirmed(member, hour=2))
    await by_hand.accept(by_hand.missed(member, someone, hour=1))


async def _texts(by_hand: Hand) -> None:
    async def text(phone: str, body: str) -> None:
        said_by = Inbound(
            phone=phone, to="+12025550191", body=body, provider_id=f"SM{next(_numbers)}"
        )
        connection = await by_hand.gateway()
        async with connection.transaction():
            await inbox.store(connection, [inbox.sealed_text(by_hand.sealer, said_by)])
        await by_hand.apply()

    await text(contact(by_hand)[1], "STOP")
    await text(contact(by_hand)[1], "please stop sending me these messages")
    # The provider knows of one of whom we do not.
    by_hand.twilio.answer = lambda _: refused(Result.RECIPIENT_SUPPRESSED, "21610")
    await by_hand.accept(by_hand.confirmed(near("m"), contact(by_hand)))
    await by_hand.work()
    by_hand.twilio.answer = lambda _: accepted()


async def _by_hand(by_hand: Hand) -> None:
    by_hand.twilio.answer = lambda _: refused(Result.CONFIGURATION_FAULT, "20003")
    told = await by_hand.accept(by_hand.confirmed(near("m"), contact(by_hand), contact(by_hand)))
    await by_hand.work()
    by_hand.calm()
    by_hand.twilio.answer = lambda _: accepted()
    parked, redriven = told.values()
    connection = await by_hand.gateway()
    await actions.redrive(connection, redriven, actor="somebody", reason="mended")
    await by_hand.work()
    assert by_hand.state(parked)[0] == "parked"


async def _codes(by_hand: Hand) -> None:
    [notification] = (await by_hand.accept(by_hand.invited(contact(by_hand)))).values()
    by_hand._owner.execute(
        "INSERT INTO verification (shard, id, phone_hash, country, caller, code_hash, checks_left,"
        " expires_at, notification) VALUES (%s, %s, '\\x00', 'US', 'k', '\\x00', 3, now(), %s)",
        (SHARD, new_id(SHARD), notification),
    )


async def _people(by_hand: Hand) -> None:
    recipient, phone = contact(by_hand)
    seal = by_hand.sealer.seal
    by_hand._owner.execute(
        "INSERT INTO recipient (shard, id, name, phone, phone_hash) VALUES (%s, %s, %s, %s, %s)",
        (
            SHARD,
            recipient,
            seal(b"Bob", table="recipient", row=recipient, field="name"),
            seal(phone.encode(), table="recipient", row=recipient, field="phone"),
            by_hand.sealer.lookup(phone),
        ),
    )
    await by_hand.device(recipient)
    billing(by_hand._owner, by_hand.sealer, SHARD, near("a"))


async def _under_way(by_hand: Hand) -> None:
    # One awaits its receipt, one is in a relay's hands, one is not begun.
    await by_hand.accept(by_hand.missed(near("m"), contact(by_hand)))
    await by_hand.work()
    await by_hand.accept(by_hand.missed(near("m"), contact(by_hand)))
    assert len(await by_hand.claim()) == 1
    await by_hand.accept(by_hand.missed(near("m")))
    connection = await by_hand.gateway()
    waiting = said(by_hand.twilio.taken[-1], "sent")
    async with connection.transaction():
        await inbox.store(connection, [inbox.sealed(by_hand.sealer, waiting, lane=0)])


def aged(settings: Settings) -> None:
    """Let everything that was stored be an hour older."""
    hour = "interval '1 hour'"
    with owner_of(settings) as owner:
        for table, columns in (
            ("event", ("accepted_at",)),
            ("event_key", ("created_at", "expires_at")),
            ("notification", ("created_at", "expires_at", "final_at")),
            ("attempt", ("stored_at",)),
            ("receipt", ("stored_at", "at")),
            ("action", ("at",)),
            ("inbox", ("received_at",)),
        ):
            moved = ", ".join(f"{column} = {column} - {hour}" for column in columns)
            owner.execute(f"UPDATE {table} SET {moved}".encode())


def owner_of(settings: Settings) -> psycopg.Connection[Any]:
    """A superuser's hand."""
    return psycopg.connect(settings.require_database(), autocommit=True)
