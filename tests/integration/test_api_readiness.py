"""Readiness over HTTP and for the dashboard: from what the database really holds."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from outbox.domain.callbacks import Callback
from outbox.domain.ids import new_id, shard_of
from outbox.domain.outcomes import Result
from outbox.sealing import Sealer
from outbox.settings import Settings
from outbox.store import suppressions
from outbox.store.connect import Role, conninfo
from outbox.store.keys import Scope
from outbox.store.readiness import unreachable

from .codes import Api
from .conftest import MakeKey
from .relay_fakes import refused, said
from .relay_hand import Hand, hand, person
from .test_api_problems import assert_problem

_DEVICE = {"token": "an-address", "address_kind": "token", "platform": "ios"}
_numbers = itertools.count(1)


@pytest.fixture
async def by_hand(settings: Settings) -> AsyncIterator[Hand]:
    async with hand(settings) as made:
        yield made


async def read(api: Api, recipient: str) -> dict[str, Any]:
    answer = await api.get(f"/v1/recipients/{recipient}/readiness")
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    assert body.keys() == {"recipient", "reachable", "channels"}
    assert body["recipient"] == recipient
    for channel in body["channels"]:
        assert channel.keys() == {"channel", "able", "why", "proven_at"}
        assert channel["able"] == (channel["why"] is None)
    assert body["reachable"] == any(channel["able"] for channel in body["channels"])
    return {channel["channel"]: channel for channel in body["channels"]}


async def why(api: Api, recipient: str) -> tuple[str | None, str | None]:
    """Why not by text, and why not by push."""
    channels = await read(api, recipient)
    assert list(channels) == ["sms", "push"]
    return channels["sms"]["why"], channels["push"]["why"]


def listed(settings: Settings) -> dict[str, tuple[str, str]]:
    """Whom the dashboard shows as unreachable."""
    target = conninfo(settings.require_database(), Role.DASHBOARD, application="tests")
    with psycopg.connect(target) as connection:
        return {each.recipient: (each.texts, each.pushes) for each in unreachable(connection)}


async def stored(api: Api, *, phone: str | None = None) -> tuple[str, str]:
    """A recipient of the app's backend: id and number."""
    recipient, number = person()
    answer = await api.put(f"/v1/recipients/{recipient}", json={"phone": phone or number})
    assert answer.status_code == 201
    return recipient, phone or number


async def told(by_hand: Hand, contact: tuple[str, str | None]) -> None:
    """A check-in of which they are told."""
    await by_hand.accept(by_hand.confirmed(person("m")[0], contact))
    await by_hand.work()


async def heard(by_hand: Hand, status: str, code: str | None = None) -> None:
    await by_hand.hear(said(by_hand.twilio.taken[-1], status, code))


async def test_a_stored_number_is_able_and_unproven(api: Api, settings: Settings) -> None:
    recipient, _ = await stored(api)
    channels = await read(api, recipient)
    assert channels["sms"] == {"channel": "sms", "able": True, "why": None, "proven_at": None}
    assert channels["push"]["why"] == "no_device"
    assert listed(settings) == {}


async def test_the_carriers_word_proves_a_number(api: Api, by_hand: Hand) -> None:
    contact = await stored(api)
    await told(by_hand, contact)
    before = datetime.now(UTC)
    await heard(by_hand, "delivered")
    proven = datetime.fromisoformat((await read(api, contact[0]))["sms"]["proven_at"])
    assert abs(proven - before) < timedelta(minutes=1)


async def test_a_contact_who_is_not_stored_is_known_by_what_was_sent(
    api: Api, by_hand: Hand, settings: Settings
) -> None:
    contact = person()
    await told(by_hand, contact)
    assert await why(api, contact[0]) == (None, "no_device")
    without_number = (person()[0], None)
    await told(by_hand, without_number)
    assert await why(api, without_number[0]) == ("no_number", "no_device")


async def test_nobody_ever_heard_of_them(api: Api) -> None:
    assert_problem(await api.get("/v1/recipients/nobody/readiness"), 404, "not-found")


@pytest.mark.parametrize("scope", [Scope.READ, Scope.RECIPIENTS])
async def test_either_scope_will_do(scope: Scope, anonymous: Api, make_key: MakeKey) -> None:
    path = "/v1/recipients/c/readiness"
    assert_problem(await anonymous.get(path), 401, "unauthorized")
    others = make_key(Scope.EVENTS, Scope.OPERATE)
    answer = await anonymous.get(path, headers={"Authorization": others})
    assert_problem(answer, 403, "scope")
    right = await anonymous.get(path, headers={"Authorization": make_key(scope)})
    assert right.status_code == 404


async def test_a_landline_is_not_able_until_something_better_is_heard(
    api: Api, by_hand: Hand, settings: Settings
) -> None:
    contact = await stored(api)
    await told(by_hand, contact)
    await heard(by_hand, "undelivered", "30006")
    assert await why(api, contact[0]) == ("twilio_30006", "no_device")
    assert listed(settings) == {contact[0]: ("twilio_30006", "no_device")}
    await told(by_hand, contact)
    await heard(by_hand, "delivered")
    assert await why(api, contact[0]) == (None, "no_device")
    assert listed(settings) == {}


async def test_a_number_that_was_refused_at_once(
    api: Api, by_hand: Hand, settings: Settings
) -> None:
    contact = person()
    by_hand.twilio.answer = lambda _: refused(Result.CHANNEL_FINAL, "21614")
    await told(by_hand, contact)
    assert await why(api, contact[0]) == ("twilio_21614", "no_device")
    assert listed(settings) == {contact[0]: ("twilio_21614", "no_device")}


async def test_what_may_pass_says_nothing_of_a_number(api: Api, by_hand: Hand) -> None:
    contact = await stored(api)
    await told(by_hand, contact)
    await heard(by_hand, "undelivered", "30003")
    assert (await why(api, contact[0]))[0] is None


async def test_a_new_number_has_no_past(api: Api, by_hand: Hand, settings: Settings) -> None:
    contact = await stored(api)
    await told(by_hand, contact)
    await heard(by_hand, "undelivered", "30006")
    await api.put(f"/v1/recipients/{contact[0]}", json={"phone": "+12025550142"})
    channels = await read(api, contact[0])
    assert channels["sms"]["able"]
    assert listed(settings) == {}
    # And no proof either.
    other = await stored(api)
    await told(by_hand, other)
    await heard(by_hand, "delivered")
    await api.put(f"/v1/recipients/{other[0]}", json={"phone": "+12025550143"})
    assert (await read(api, other[0]))["sms"]["proven_at"] is None


async def test_an_opt_out_and_its_end(api: Api, by_hand: Hand, settings: Settings) -> None:
    contact, unstored = await stored(api), person()
    await told(by_hand, unstored)
    sealer = Sealer(settings.keys, settings.lookup_keys)
    gateway = by_hand.parts.sessions[0]
    connection = await gateway.get()
    for _, phone in (contact, unstored):
        phone_hash = sealer.lookup(phone)
        await suppressions.add(connection, phone_hash, origin="inbound", word="STOP")
    for recipient, _ in (contact, unstored):
        assert await why(api, recipient) == ("opted_out", "no_device")
    assert listed(settings) == dict.fromkeys((contact[0], unstored[0]), ("opted_out", "no_device"))
    for _, phone in (contact, unstored):
        await suppressions.lift(connection, [sealer.lookup(phone)])
    assert await why(api, contact[0]) == (None, "no_device")
    assert listed(settings) == {}


async def test_a_device_makes_reachable(api: Api, settings: Settings) -> None:
    recipient = person()[0]
    await api.put(f"/v1/recipients/{recipient}/devices/d_1", json=_DEVICE)
    channels = await read(api, recipient)
    assert channels["sms"]["why"] == "no_number"
    assert channels["push"] == {"channel": "push", "able": True, "why": None, "proven_at": None}
    assert listed(settings) == {}


@pytest.mark.parametrize(
    ("dead", "stale", "expected"),
    [
        ((False, False), (False, True), None),
        ((True, False), (False, False), None),
        ((True, False), (False, True), "device_stale"),
        ((False, False), (True, True), "device_stale"),
        ((True, True), (False, True), "device_dead"),
    ],
)
async def test_one_good_device_is_enough(
    dead: tuple[bool, bool],
    stale: tuple[bool, bool],
    expected: str | None,
    api: Api,
    settings: Settings,
) -> None:
    recipient = person()[0]
    for number in range(2):
        await api.put(f"/v1/recipients/{recipient}/devices/d_{number}", json=_DEVICE)
        with psycopg.connect(settings.require_database()) as connection:
            connection.execute(
                "UPDATE device SET dead_at = CASE WHEN %s THEN now() END,"
                " stale_at = CASE WHEN %s THEN now() END WHERE id = %s",
                (dead[number], stale[number], f"d_{number}"),
            )
    assert (await why(api, recipient))[1] == expected
    assert listed(settings) == ({recipient: ("no_number", expected)} if expected else {})
    # A new address begins anew.
    await api.put(f"/v1/recipients/{recipient}/devices/d_0", json={**_DEVICE, "token": "newer"})
    assert (await why(api, recipient))[1] is None


async def test_the_apps_word_proves_pushes(api: Api, by_hand: Hand) -> None:
    contact = person()
    await by_hand.device(contact[0])
    await told(by_hand, (contact[0], None))
    assert (await read(api, contact[0]))["push"]["proven_at"] is None
    _, reference = by_hand.fcm.taken[-1]
    await by_hand.hear(
        Callback(
            source="app",
            status="received",
            notification=reference.notification,
            step=reference.step,
            fence=reference.fence,
            ordinal=reference.ordinal,
        )
    )
    assert (await read(api, contact[0]))["push"]["proven_at"] is not None


async def test_the_dashboards_role_reads_no_hash(settings: Settings, database_url: str) -> None:
    target = conninfo(database_url, Role.DASHBOARD, application="tests")
    with psycopg.connect(target) as connection:
        for column, table in (("phone_hash", "recipient"), ("phone_hash", "suppression")):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f"SELECT {column} FROM {table}")
            connection.rollback()


async def test_the_list_is_quick_among_many(settings: Settings, database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.cursor().executemany(
            "INSERT INTO recipient (shard, id, phone_hash) VALUES (%s, %s, %s)",
            [(shard_of(f"r{n}"), f"r{n}", new_id(0).bytes) for n in range(5000)],
        )
        connection.execute("UPDATE recipient SET phone_hash = NULL WHERE id = 'r7'")
    began = datetime.now(UTC)
    assert listed(settings) == {"r7": ("no_number", "no_device")}
    assert datetime.now(UTC) - began < timedelta(seconds=20)
