"""Topics: what a device follows is recorded, told to FCM by the outbox, and made to agree."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from outbox.simulators.magic import token

from .conftest import MakeKey
from .following_world import World, world

_PATH = "/v1/recipients/c_1/devices/d_1/topics"


@pytest.fixture
async def at(tmp_path: Path, database_url: str, make_key: MakeKey) -> AsyncIterator[World]:
    async with world(tmp_path, database_url, make_key) as made:
        yield made


async def test_a_device_follows_a_topic_and_its_language(at: World) -> None:
    address = await at.device("c_1", locale="es-MX")
    async with at.relay():
        commands = await at.follow("c_1")
        assert len(commands) == 2
        await at.settled()
    assert await at.members() == {"lang-es": [address], "news": [address]}
    for command in commands:
        told = await at.notification(command)
        assert (told["kind"], told["recipient"], told["lane"]) == ("device.topics", "c_1", "bulk")
        assert (told["state"], told["proof"]) == ("delivered", "accepted")
        assert [step["channel"] for step in told["plan"]] == ["topics"]
        [attempt] = [entry for entry in told["timeline"] if entry["what"] == "attempt"]
        assert (attempt["provider"], attempt["outcome"]) == ("fcm", "accepted")
    # A subscription is no message.
    assert await at.pushes() == []


async def test_the_same_wish_again_is_no_work(at: World) -> None:
    address = await at.device("c_1")
    async with at.relay():
        assert len(await at.follow("c_1")) == 2
        assert await at.follow("c_1") == []
        # Its language is followed already.
        assert len(await at.follow("c_1", "weather")) == 1
        await at.settled()
        assert await at.members() == {key: [address] for key in ("lang-en", "news", "weather")}
        # What FCM may have lost is mended after a week.
        at.rows("UPDATE topic_device SET at = at - interval '8 days' RETURNING 1")
        assert len(await at.follow("c_1")) == 2
        assert await at.follow("c_1") == []
        await at.settled()


async def test_the_language_goes_with_the_last_topic(at: World) -> None:
    address = await at.device("c_1")
    async with at.relay():
        await at.follow("c_1")
        await at.follow("c_1", "weather")
        await at.settled()
        assert len(await at.unfollow("c_1")) == 1
        assert await at.unfollow("c_1") == []
        await at.settled()
        assert await at.members() == {key: [address] for key in ("lang-en", "weather")}
        assert len(await at.unfollow("c_1", "weather")) == 2
        await at.settled()
    assert await at.members() == {}
    assert at.rows("SELECT * FROM topic_device") == []


async def test_a_new_address_follows_and_the_old_one_does_not(at: World) -> None:
    await at.device("c_1")
    async with at.relay():
        await at.follow("c_1")
        await at.settled()
        new = await at.device("c_1")
        await at.settled()
        assert await at.members() == {"lang-en": [new], "news": [new]}
        before = at.rows("SELECT count(*) FROM notification")
        # An app registers at each of its starts.
        await at.device("c_1", address=new)
    assert at.rows("SELECT count(*) FROM notification") == before


async def test_another_language_takes_the_place_of_the_old_one(at: World) -> None:
    following = await at.device("c_1")
    other = await at.device("c_1", device="d_2")
    async with at.relay():
        await at.follow("c_1")
        await at.ok("PUT", "/v1/recipients/c_1", {"locale": "es"})
        await at.settled()
        assert await at.members() == {"lang-es": [following], "news": [following]}
        # Another region is no other language.
        before = at.rows("SELECT count(*) FROM notification")
        await at.ok("PUT", "/v1/recipients/c_1", {"locale": "es-MX"})
        assert at.rows("SELECT count(*) FROM notification") == before
    assert other not in str(await at.members())


@pytest.mark.parametrize("path", ["/v1/recipients/c_1/devices/d_1", "/v1/recipients/c_1"])
async def test_who_is_gone_follows_nothing(at: World, path: str) -> None:
    await at.device("c_1")
    kept = await at.device("c_2")
    async with at.relay():
        await at.follow("c_1")
        await at.follow("c_2")
        await at.settled()
        await at.ok("DELETE", path)
        await at.settled()
    assert await at.members() == {"lang-en": [kept], "news": [kept]}
    assert at.rows("SELECT DISTINCT recipient FROM topic_device") == [("c_2",)]


async def test_one_app_of_two_people_follows_for_whom_is_left(at: World) -> None:
    shared = await at.device("c_1")
    await at.device("c_2", address=shared)
    async with at.relay():
        await at.follow("c_1")
        await at.follow("c_2")
        await at.settled()
        await at.ok("DELETE", "/v1/recipients/c_1")
        await at.settled()
        assert await at.members() == {"lang-en": [shared], "news": [shared]}
        await at.unfollow("c_2")
        await at.settled()
    assert await at.members() == {}


async def test_an_outage_is_waited_for(at: World) -> None:
    flaky = await at.device("c_1", address=token("flaky", 0))
    async with at.relay():
        commands = await at.follow("c_1")
        await at.settled()
    assert await at.members() == {"lang-en": [flaky], "news": [flaky]}
    told = [await at.notification(command) for command in commands]
    outcomes = [
        entry["outcome"]
        for each in told
        for entry in each["timeline"]
        if entry["what"] == "attempt"
    ]
    # The first two calls with this address get 503.
    assert sorted(outcomes) == ["accepted", "accepted", "retryable", "retryable"]


async def test_a_dead_address_is_marked_unless_there_is_a_new_one(at: World) -> None:
    await at.device("c_1", address=token("unregistered", 0))
    await at.device("c_1", device="d_2", address=token("unregistered", 0))
    alive = await at.device("c_2")
    async with at.relay():
        commands = await at.follow("c_1")
        await at.follow("c_1", device="d_2")
        await at.follow("c_2")
        await at.settled()
        told = await at.notification(commands[0])
        assert (told["state"], told["reason"]) == ("undeliverable", "fcm_UNREGISTERED")
        # Whichever device it is registered for.
        dead = at.rows("SELECT recipient, id FROM device WHERE dead_at IS NOT NULL ORDER BY id")
        assert dead == [("c_1", "d_1"), ("c_1", "d_2")]
        # A wish about it is recorded, and told when there is an address.
        assert await at.follow("c_1", "weather") == []
        new = await at.device("c_1")
        await at.settled()
    assert await at.members() == {
        "lang-en": sorted([alive, new]),
        "news": sorted([alive, new]),
        "weather": [new],
    }
    assert at.rows("SELECT dead_at FROM device WHERE id = 'd_1'") == [(None,), (None,)]


async def test_a_dead_address_that_is_to_follow_nothing_does_so(at: World) -> None:
    await at.device("c_1", address=token("unregistered", 0))
    await at.follow("c_1")
    commands = await at.unfollow("c_1")
    async with at.relay():
        await at.settled()
    for command in commands:
        assert (await at.notification(command))["state"] == "delivered"
    assert at.rows("SELECT dead_at FROM device") == [(None,)]


async def test_the_last_wish_stands_whatever_order_it_is_told_in(at: World) -> None:
    """Commands say what to make agree, not what to do: any of them carries out the last wish."""
    await at.device("c_1")
    kept = await at.device("c_2")
    for _ in range(3):
        await at.follow("c_1")
        await at.unfollow("c_1")
        await at.unfollow("c_2")
        await at.follow("c_2")
    # For a moment only: while it lasts, each probe of an opened breaker may fail by chance again.
    await at.sim.fault(provider="fcm", rate=0.2, status=503, latency_ms=30, for_s=1.0)
    async with at.relay():
        await at.settled()
    assert await at.members() == {"lang-en": [kept], "news": [kept]}
    assert at.rows("SELECT DISTINCT state FROM notification") == [("delivered",)]


async def test_a_change_of_mind_during_the_call_is_seen_after_it(at: World) -> None:
    """The call that arrives last is not the one of the last wish: its command looks once more."""
    address = await at.device("c_1")
    await at.sim.fault(provider="fcm", latency_ms=1500)
    async with at.relay():
        await at.follow("c_1")
        await at.until(
            lambda: at.rows("SELECT count(*) FROM due WHERE owner IS NOT NULL") == [(2,)],
            "the calls are under way",
        )
        # Withdrawn while FCM thinks about it; and this command is faster than the calls.
        later = await at.unfollow("c_1")
        names = ", ".join(f"'{each}'" for each in later)
        at.rows(f"DELETE FROM due WHERE notification IN ({names}) RETURNING 1")
        await at.settled()
    assert address not in str(await at.members())
    done = at.rows("SELECT code FROM attempt ORDER BY notification, fence")
    assert done == [("subscribed",), ("unsubscribed",)] * 2


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/recipients/c_1/devices/none/topics/news", 404),
        ("/v1/recipients/none/devices/d_1/topics/news", 404),
        (f"{_PATH}/lang-es", 400),
        (f"{_PATH}/a%20b", 400),
        (f"{_PATH}/.hidden", 400),
        (f"{_PATH}/{'x' * 101}", 400),
        (f"{_PATH}/a%27b", 400),
    ],
)
async def test_what_cannot_be_followed(at: World, path: str, status: int) -> None:
    await at.device("c_1")
    answer = await at.api.put(path)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    left = await at.api.delete(path)
    assert left.status_code == (202 if status == 404 else 400)
    assert at.rows("SELECT * FROM topic_device") == []


async def test_a_device_follows_so_many_topics_and_no_more(at: World) -> None:
    await at.device("c_1")
    for n in range(50):
        await at.follow("c_1", f"t{n}")
    answer = await at.api.put(f"{_PATH}/one-more")
    assert answer.status_code == 409
    assert answer.json()["type"] == "/problems/conflict"
    await at.unfollow("c_1", "t7")
    assert len(await at.follow("c_1", "one-more")) == 1


async def test_addresses_are_sealed_in_commands_too(at: World) -> None:
    await at.device("c_1", address="the-secret-address")
    await at.follow("c_1")
    for table in ("event", "notification", "due", "topic_device"):
        for (row,) in at.rows(f"SELECT t::text FROM {table} t"):
            assert "the-secret-address" not in row
            assert b"the-secret-address".hex() not in row
