"""A person with all that the gateway may hold of one; and a scan that finds it wherever it lies."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from msgspec.structs import replace

from outbox.domain.ids import new_id, shard_of
from outbox.domain.inbound import Inbound
from outbox.domain.outcomes import Outcome, Result
from outbox.sealing import Sealer, UnsealError
from outbox.store import erasures, inbox
from outbox.store.audit_roots import LAG_S
from outbox.store.devices import row_name
from tests.integration.billing_world import World
from tests.integration.relay_hand import Hand

from .audit_world import aged, proven
from .conftest import CAROL, event
from .relay_fakes import accepted, acknowledged, refused, said

BOB = {"id": "c_bob", "name": "Bob Ruprecht", "phone": "+12025550171", "locale": "en-US"}
OLD_PHONE = "+12025550172"
TOKEN = "fcm-token-of-bobs-phone"
EMAIL = "c_bob@example.com"
TEXT = "please stop sending me these, my flat is on fire"
_WITHIN_S = 60.0
NEEDLES = (BOB["phone"][1:], OLD_PHONE[1:], BOB["name"], TOKEN, EMAIL, TEXT)
ALICE = {"id": "m_alice", "name": "Alice", "phone": "+12025550100"}
DORA = {"id": "m_dora", "name": "Dora", "phone": "+12025550104"}

# By table: what a row is called, and what is sealed in it.
_SEALED: dict[str, tuple[str, tuple[str, ...]]] = {
    "event": ("id::text", ("data",)),
    "notification": ("id::text", ("content",)),
    "recipient": ("id", ("name", "phone")),
    "device": ("recipient || '|' || id", ("token",)),
    "inbox": ("id::text", ("body",)),
    "revocation": ("id::text", ("body",)),
    "account": ("id", ("email",)),
}
HELD = {
    *(("event", "data"), ("notification", "content"), ("recipient", "name")),
    *(("recipient", "phone"), ("device", "token"), ("inbox", "body"), ("revocation", "body")),
    ("account", "email"),
}
"""Where there is something of the person before they are erased."""


def scan(database_url: str, sealer: Sealer) -> set[tuple[str, str]]:
    """Tables and columns that hold something of the person, as it is stored or once it opens."""
    with psycopg.connect(database_url) as owner:
        return set(_found(owner, sealer))


def _found(owner: psycopg.Connection[Any], sealer: Sealer) -> Iterator[tuple[str, str]]:
    tables = owner.execute(
        "SELECT c.relname FROM pg_class c WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition"
        " AND c.relnamespace = 'public'::regnamespace"
    ).fetchall()
    assert len(tables) > 30
    hidden = [needle.encode().hex() for needle in NEEDLES]
    for (table,) in tables:
        rows = owner.execute(f"SELECT to_jsonb(t) FROM {table} t".encode()).fetchall()
        for (row,) in rows:
            for column, value in row.items():
                shown = str(value)
                if any(each in shown for each in (*NEEDLES, *hidden)):
                    yield table, column
    for table, (name, columns) in _SEALED.items():
        for column in columns:
            query = f"SELECT {name}, {column} FROM {table} WHERE length({column}) > 0"
            for row_id, sealed in owner.execute(query.encode()).fetchall():
                row = row_name(*row_id.split("|")) if table == "device" else row_id
                try:
                    plain = sealer.unseal(bytes(sealed), table=table, row=row, field=column)
                except UnsealError as error:
                    msg = f"{table}.{column} of {row_id} does not open"
                    raise AssertionError(msg) from error
                if any(needle.encode() in plain for needle in NEEDLES):
                    yield table, column


async def post(life: World, kind: str, data: dict[str, Any], **more: object) -> dict[str, UUID]:
    """Post an event; its notifications by recipient."""
    answer = await life.api.post("/v1/events", json=event(kind, data, **more))
    assert answer.status_code == 202, answer.text
    return {each["recipient"]: UUID(each["id"]) for each in answer.json()["notifications"]}


async def missed(life: World, member: dict[str, str], *contacts: Any, hour: int = 8) -> Any:  # noqa: ANN401
    data = {"member": member, "contacts": contacts, "due_at": f"2026-11-23T{hour:02}:30:00Z"}
    return await post(life, "checkin.missed", data, subject=member["id"])


async def confirmed(life: World, member: dict[str, str], *contacts: Any, hour: int = 9) -> Any:  # noqa: ANN401
    data = {"member": member, "contacts": contacts, "at": f"2026-11-23T{hour:02}:00:00Z"}
    return await post(life, "checkin.confirmed", data, subject=member["id"])


async def heard(by_hand: Hand, status: str = "delivered", *, texts: int = 1) -> None:
    """Twilio tells what became of the last texts, as it does: with the numbers."""
    for taken in by_hand.twilio.taken[-texts:]:
        raw = {"To": taken.sms.to, "From": taken.sms.sender, "MessageStatus": status}
        await by_hand.hear(replace(said(taken, status), raw=raw))


async def text(by_hand: Hand, phone: str, body: str, name: str) -> None:
    """Somebody writes to us."""
    said_by = Inbound(phone=phone, to="+12025550191", body=body, provider_id=name)
    connection = await by_hand.gateway()
    async with connection.transaction():
        await inbox.store(connection, [inbox.sealed_text(by_hand.sealer, said_by)])
    await by_hand.apply()


async def _followed(address: str, topic: str) -> Outcome:
    return accepted("fcm_topics")


async def _told_of_nobody(life: World) -> None:
    """A webhook about his customer that was heard before anybody knew whose that is."""
    [(customer,)] = life.relay.rows("SELECT customer FROM account WHERE id = 'c_bob'")
    body = {"id": "evt_early", "object": "event", "customer": customer, "email": EMAIL}
    row = new_id(shard := shard_of(customer))
    sealed = life.relay.sealer.seal(
        json.dumps(body).encode(), table="inbox", row=str(row), field="body"
    )
    life.relay._owner.execute(
        "INSERT INTO inbox (shard, id, provider, said, lane, body, done_at, note) VALUES"
        " (%s, %s, 'stripe', 'evt_early', 3, %s, now(), 'of no account that is known')",
        (shard, row, sealed),
    )


async def live(life: World) -> None:
    """Let everything happen to the person that leaves something of them."""
    by_hand = life.relay
    # FCM follows topics, too.
    for name in ("subscribe", "unsubscribe"):
        setattr(by_hand.fcm, name, _followed)
    stored = {name: value for name, value in BOB.items() if name != "id"}
    assert (await life.api.put("/v1/recipients/c_bob", json=stored)).status_code == 201
    device = {"token": TOKEN, "address_kind": "token", "platform": "ios"}
    assert (await life.api.put("/v1/recipients/c_bob/devices/d", json=device)).status_code == 204
    path = "/v1/recipients/c_bob/devices/d/topics/news"
    assert (await life.api.put(path)).is_success
    # As a Contact: told by text, at a number of before; by push; of an alert that is still open.
    await confirmed(life, ALICE, {**BOB, "phone": OLD_PHONE}, CAROL, hour=1)
    await by_hand.work()
    await heard(by_hand)
    by_hand.twilio.answer = lambda _: refused(Result.CHANNEL_FINAL, "21614")
    await missed(life, ALICE, {"id": BOB["id"]}, hour=2)
    await by_hand.work()
    await by_hand.hear(acknowledged(by_hand.fcm.taken[-1][1]))
    by_hand.twilio.answer = lambda _: accepted()
    # Nobody is told of it, but it names him.
    assert await missed(life, ALICE, BOB, hour=3) == {}
    # As a Member: nobody to tell; an alert that ended with an all-clear.
    me = {name: BOB[name] for name in ("id", "name", "phone")}
    assert await confirmed(life, me, hour=1) == {}
    await missed(life, me, CAROL, hour=2)
    await by_hand.work()
    await heard(by_hand)
    await confirmed(life, me, CAROL, hour=3)
    await by_hand.work()
    await heard(by_hand)
    # Invited without an id, and himself inviting somebody, by an event of somebody else.
    number = {"phone": BOB["phone"], "name": BOB["name"]}
    dora = {"id": DORA["id"], "name": "Dora"}
    by_dora = {"inviter": dora, "invitee": number, "code": "HX7-2QK"}
    await post(life, "member.invited", by_dora, subject="m_dora")
    bob = {"id": BOB["id"], "name": BOB["name"]}
    guest = {"phone": "+12025550188"}
    by_bob = {"inviter": bob, "invitee": guest, "code": "HX7-2QL"}
    await post(life, "member.invited", by_bob, subject="m_dora")
    asked = await life.api.post("/v1/verifications", json={"phone": BOB["phone"]})
    assert asked.status_code == 202
    await by_hand.work()
    await heard(by_hand, texts=3)
    # He pays, and writes to us; what one of his callbacks said could not be applied.
    await life.open("c_bob")
    await life.work()
    await _told_of_nobody(life)
    await text(by_hand, OLD_PHONE, TEXT, "SM-maybe")
    await text(by_hand, BOB["phone"], "STOP", "SM-stop")
    await text(by_hand, OLD_PHONE, f"this is {BOB['name']}", "SM-other")
    await by_hand.work()
    by_hand._owner.execute("UPDATE inbox SET note = 'cannot be read' WHERE said = 'SM-other'")


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is under way here that was prepared before."""
    monkeypatch.setattr(erasures, "SETTLED_AFTER", timedelta())


async def erase(life: World, recipient: str = "c_bob") -> None:
    answer = await life.api.delete(f"/v1/recipients/{recipient}")
    assert answer.status_code == 204, answer.text


async def rooted(by_hand: Hand) -> None:
    """Make roots over what has happened so far, as if it were long ago."""
    aged(by_hand.settings)
    await proven(by_hand.settings, lag_s=LAG_S)
    assert by_hand.rows("SELECT sum(facts) > 50 FROM audit_root") == [(True,)]


async def to_rest(by_hand: Hand) -> None:
    """Carry through what is asked for, and what has to end before."""
    erasing = by_hand.parts.housekeeping.erasing
    ends = time.monotonic() + _WITHIN_S
    while time.monotonic() < ends:
        by_hand._owner.execute("UPDATE erasure SET next_at = now() WHERE done_at IS NULL")
        while await erasing.turn():
            pass
        if by_hand.rows("SELECT count(*) FROM erasure WHERE done_at IS NULL") == [(0,)]:
            await by_hand.work()
            return
        await by_hand.to_the_end()
        await asyncio.sleep(0.05)
    msg = f"not at its end: {by_hand.rows('SELECT recipient, waits_for FROM erasure')}"
    raise AssertionError(msg)
