"""Announcements: to a topic once in each language, or to recipients one by one, not at night."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from outbox.simulators.magic import token

from .conftest import MakeKey, missed
from .following_world import World, announcement, world

_AT_ANY_HOUR = '["announcement.published"]\nquiet_hours = ""\n'
_AT_NO_HOUR = '["announcement.published"]\nquiet_hours = "00:00-23:59"\n'


@pytest.fixture
async def at(tmp_path: Path, database_url: str, make_key: MakeKey) -> AsyncIterator[World]:
    async with world(tmp_path, database_url, make_key, _AT_ANY_HOUR) as made:
        yield made


async def test_a_topic_is_told_once_in_each_language(at: World) -> None:
    async with at.relay():
        told = await at.announce(announcement(languages=("en", "es", "fr")))
        await at.settled()
    assert {(n["recipient"], n["kind"], n["lane"]) for n in told} == {
        ("topic:news", "announcement.published", "bulk"),
    }
    assert sorted(await at.pushes()) == [
        (
            "'news' in topics && !('lang-es' in topics) && !('lang-fr' in topics)",
            "Title in en: Body in en",
        ),
        ("'news' in topics && 'lang-es' in topics", "Title in es: Body in es"),
        (
            "'news' in topics && 'lang-fr' in topics && !('lang-es' in topics)",
            "Title in fr: Body in fr",
        ),
    ]
    for each in told:
        full = await at.notification(each["id"])
        assert (full["state"], full["proof"]) == ("delivered", "accepted")
        assert [step["channel"] for step in full["plan"]] == ["topic"]


async def test_one_language_is_for_all_who_follow_the_topic(at: World) -> None:
    async with at.relay():
        await at.announce(announcement(languages=("es-MX",)))
        await at.settled()
    assert await at.pushes() == [("news", "Title in es-MX: Body in es-MX")]


async def test_each_recipient_is_told_once_in_their_own_language(at: World) -> None:
    addresses = {
        "c_1": await at.device("c_1", locale="es-MX"),
        "c_2": await at.device("c_2", locale="fr-CA"),
        "c_3": await at.device("c_3", locale="en-GB"),
    }
    second = await at.device("c_1", device="d_2")
    async with at.relay():
        told = await at.announce(announcement("c_1", "c_2", "c_3", "c_1", "nobody"))
        await at.settled()
    assert [n["recipient"] for n in told] == ["c_1", "c_2", "c_3", "nobody"]
    assert sorted(await at.pushes()) == sorted(
        [
            (addresses["c_1"], "Title in es: Body in es"),
            (second, "Title in es: Body in es"),
            # French is not given.
            (addresses["c_2"], "Title in en: Body in en"),
            (addresses["c_3"], "Title in en: Body in en"),
        ]
    )
    full = [await at.notification(n["id"]) for n in told]
    assert [(n["state"], n["proof"], n["reason"]) for n in full] == [
        *[("delivered", "accepted", None)] * 3,
        ("undeliverable", None, "no_device"),
    ]


async def test_by_night_recipients_are_left_alone_and_topics_are_not(
    tmp_path: Path, database_url: str, make_key: MakeKey
) -> None:
    async with world(tmp_path, database_url, make_key, _AT_NO_HOUR) as at:
        address = await at.device("c_1")
        async with at.relay():
            [quiet] = await at.announce(announcement("c_1"))
            told = await at.announce(announcement())
            await at.until(
                lambda: (
                    at.rows("SELECT due_at > now() + interval '1 minute' FROM due") == [(True,)]
                ),
                "the quiet one waits, and it alone",
            )
        assert (await at.notification(quiet["id"]))["state"] == "pending"
        assert {(await at.notification(n["id"]))["state"] for n in told} == {"delivered"}
        assert address not in [to for to, _ in await at.pushes()]


async def test_a_topic_that_meets_an_outage_is_told_afterwards(at: World) -> None:
    await at.sim.fault(provider="fcm", rate=1.0, status=503, for_s=60)
    async with at.relay():
        [told] = await at.announce(announcement(languages=("en",)))
        await at.until(lambda: bool(at.rows("SELECT FROM attempt")), "a first attempt")
        await at.sim.fault(provider="fcm", rate=0.0)
        await at.settled()
    assert [to for to, _ in await at.pushes()] == ["news"]
    outcomes = [
        entry["outcome"]
        for entry in (await at.notification(told["id"]))["timeline"]
        if entry["what"] == "attempt"
    ]
    assert outcomes[0] == "retryable"
    assert outcomes[-1] == "accepted"


async def test_a_hold_on_topics_is_none_on_alerts(at: World) -> None:
    """FCM asks for fewer topic messages for a minute: a push to a device goes on at once."""
    await at.sim.fault(provider="fcm", rate=1.0, status=429, retry_after=60)
    async with at.relay():
        await at.announce(announcement(languages=("en",)))
        await at.until(lambda: bool(at.rows("SELECT FROM attempt")), "the topic was refused")
        await at.sim.fault(provider="fcm", rate=0.0)
        await at.device("c_1", address=token("delivered", 0))
        contact = {"id": "c_1", "name": "Bob", "phone": "not a number"}
        await at.announce(missed(contact))
        pushed = "SELECT FROM attempt WHERE channel = 'push' AND result = 'accepted'"
        await at.until(lambda: bool(at.rows(pushed)), "the alert by push")
    assert [to for to, _ in await at.pushes()] == [token("delivered", 0)]


async def test_what_fcm_takes_at_most_is_accepted_and_taken(at: World) -> None:
    """The limits that refuse at acceptance are on the safe side of FCM's own."""
    address = await at.device("c_1")
    to_topic, to_device = announcement(languages=("en",)), announcement("c_1", languages=("en",))
    for published, size in ((to_topic, 2048), (to_device, 4096)):
        published["data"]["body"]["en"] = "x" * size
        answer = await at.api.post("/v1/events", json=published)
        [error] = answer.json()["errors"]
        assert (answer.status_code, error["path"]) == (400, "$.data.body.en")
        over = int(error["accepted"].split("; ")[1].split()[0])
        published["data"]["body"]["en"] = "x" * (size - over)
    async with at.relay():
        await at.announce(to_topic)
        await at.announce(to_device)
        await at.settled()
    assert {to for to, _ in await at.pushes()} == {"news", address}


async def test_a_batch_of_announcements_weighs_what_it_becomes(at: World) -> None:
    batch = [announcement(*(f"c_{n}_{m}" for m in range(500))) for n in range(11)]
    headers = {"content-type": "application/cloudevents-batch+json"}
    answer = await at.api.post("/v1/events", json=batch, headers=headers)
    [error] = answer.json()["errors"]
    assert answer.status_code == 400
    assert (error["path"], error["got"]) == ("$", "announcements to 5500 recipients")
    assert error["accepted"] == "at most 5000 recipients in one request"
    assert at.rows("SELECT FROM event") == []
    answer = await at.api.post("/v1/events", json=batch[:10], headers=headers)
    assert answer.status_code == 202, answer.text
    assert at.rows("SELECT count(*) FROM notification") == [(5000,)]
    assert at.rows("SELECT count(*) FROM due") == [(5000,)]


async def test_a_repetition_changes_nothing(at: World) -> None:
    published = announcement("c_1")
    first = await at.api.post("/v1/events", json=published)
    shuffled = {**published, "data": dict(reversed(list(published["data"].items())))}
    again = await at.api.post("/v1/events", json=shuffled)
    assert again.json() == {**first.json(), "duplicate": True}
    other = announcement("c_2", id=published["id"])
    assert (await at.api.post("/v1/events", json=other)).status_code == 422
