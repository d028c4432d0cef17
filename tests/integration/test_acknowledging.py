"""Whoever is on call says that they know of an alert: kept, obeyed by all, and ended in time."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient

from outbox.domain.outcomes import Result
from outbox.settings import NAMES, Settings
from outbox.store import acknowledgements
from outbox.store.keys import Scope
from tests.integration.test_watch import World, alive

from .conftest import MakeKey, environment
from .relay_fakes import refused
from .relay_hand import Hand, person
from .test_api_problems import assert_problem
from .test_holds import pruuf

__all__ = ["alive"]

_WHY: dict[str, Any] = {"reason": "Twilio knows", "for_s": 3600}
_FORGED = (
    "INSERT INTO rollup_minute VALUES"
    " (0, date_trunc('minute', now()), 'webhooks', 'forged', 'twilio', '', 6)"
)


async def test_it_is_kept_with_who_and_why_replaced_and_taken_back(
    api: AsyncTestClient[Litestar], by_hand: Hand
) -> None:
    path = "/v1/alerts/ProviderDown/acknowledge"
    twilio = {**_WHY, "label": "twilio"}
    made = (await api.post(path, json=twilio)).json()
    assert (made["result"], made["label"]) == ("acknowledged", "twilio")
    await api.post(path, json={**twilio, "for_s": 600})
    await api.post("/v1/alerts/RelayDead/acknowledge", json=_WHY)
    items = (await api.get("/v1/acknowledgements")).json()["items"]
    assert [(each["alert"], each["label"]) for each in items] == [
        ("ProviderDown", "twilio"),
        ("RelayDead", ""),
    ]
    assert all(each["actor"].endswith("(test)") for each in items)
    back = (await api.post(path, json={**twilio, "for_s": 0})).json()
    assert (back["result"], back["until"]) == ("taken_back", None)
    again = (await api.post(path, json={**twilio, "for_s": 0.4})).json()
    assert again["result"] == "taken_back"
    assert len((await api.get("/v1/acknowledgements")).json()["items"]) == 1
    kept = by_hand.rows("SELECT alert, reason, ended_why FROM acknowledgement ORDER BY id")
    assert kept == [
        ("ProviderDown", "Twilio knows", "replaced"),
        ("ProviderDown", "Twilio knows", "replaced"),
        ("RelayDead", "Twilio knows", None),
    ]


async def test_only_an_alert_and_not_for_longer_than_a_shift(
    api: AsyncTestClient[Litestar], make_key: MakeKey
) -> None:
    path = "/v1/alerts/ProviderDown/acknowledge"
    assert_problem(await api.post("/v1/alerts/Doom/acknowledge", json=_WHY), 404, "not-found")
    for broken in ({"for_s": 28_801}, {"for_s": -1}, {"reason": ""}, {"label": "a b"}):
        answer = await api.post(path, json={**_WHY, **broken})
        assert_problem(answer, 400, "invalid")
    reader = {"Authorization": make_key(Scope.READ)}
    assert_problem(await api.post(path, json=_WHY, headers=reader), 403, "scope")


async def test_relays_end_what_fires_no_more(by_hand: Hand) -> None:
    gateway = await by_hand.gateway()
    show = by_hand.parts.measuring

    async def looks(count: int) -> None:
        for _ in range(count):
            await show._session.persist(show.show)

    by_hand.rows(f"{_FORGED} RETURNING 1")
    for alert, label in (("ForgedCallbacks", "twilio"), ("ProviderDown", "fcm")):
        await acknowledgements.acknowledge(
            gateway, alert, label, for_s=60, actor="Ann", reason="why"
        )
    await looks(1)
    assert len(await acknowledgements.read(gateway)) == 2
    await looks(2)
    [left] = await acknowledgements.read(gateway)
    assert left.key == ("ForgedCallbacks", "twilio")
    by_hand.rows("DELETE FROM rollup_minute RETURNING 1")
    await looks(2)
    assert await acknowledgements.read(gateway) == []
    assert by_hand.rows("SELECT DISTINCT ended_why FROM acknowledgement") == [("over",)]


async def test_of_a_parked_group_that_somebody_knows_no_one_is_told_again(by_hand: Hand) -> None:
    by_hand.twilio.answer = lambda _: refused(Result.CONFIGURATION_FAULT, "20003")

    async def park() -> None:
        await by_hand.accept(by_hand.confirmed(person("m")[0], person()))
        await by_hand.pass_(3.0)
        by_hand.calm()

    await park()
    assert by_hand.pager.reasons == ["parked:twilio_20003"]
    gateway = await by_hand.gateway()
    await acknowledgements.acknowledge(
        gateway, "Parked", "twilio_20003", for_s=7200, actor="Ann", reason="why"
    )
    await by_hand.skip(3700.0)
    await park()
    assert by_hand.pager.reasons == ["parked:twilio_20003"]
    # It is still so, by the relays' own look.
    show = by_hand.parts.measuring
    for _ in range(3):
        await show._session.persist(show.show)
    assert len(await acknowledgements.read(gateway)) == 1
    await acknowledgements.acknowledge(
        gateway, "Parked", "twilio_20003", for_s=0, actor="Ann", reason="why"
    )
    await park()
    assert by_hand.pager.reasons == ["parked:twilio_20003"] * 2


async def test_a_watcher_that_is_started_anew_does_not_call_and_the_ping_goes_on(
    make_settings: Callable[[str], Settings], alive: str
) -> None:
    with psycopg.connect(alive, autocommit=True) as connection:
        connection.execute(_FORGED)
        first = World(make_settings(alive))
        await first.watcher.look()
        assert (first.pages, len(first.pings.urls)) == (["firing:ForgedCallbacks"], 0)
        connection.execute(
            "INSERT INTO acknowledgement (shard, id, alert, label, actor, reason, until) VALUES"
            " (0, gen_random_uuid(), 'ForgedCallbacks', 'twilio', 'Ann', 'why',"
            " now() + interval '1 hour')"
        )
        second = World(make_settings(alive))
        for world in (first, second):
            await world.watcher.look()
            assert len(world.pings.urls) == 1
        assert second.pages == []
        connection.execute("UPDATE acknowledgement SET ended_at = now(), ended_why = 'replaced'")
        for world in (first, second):
            await world.watcher.look()
            assert world.pages[-1] == "firing:ForgedCallbacks"
            assert len(world.pings.urls) == 1
        assert len(first.pages) == 2


def test_the_verb_asks_keeps_and_is_told_of(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment(database_url).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    why = ("--label", "twilio", "--reason", "Twilio knows")
    for words, expected in (
        (("Doom", "--for", "2h", *why, "--yes"), (2, "Doom is no alert")),
        (("ProviderDown", "--for", "9h", *why, "--yes"), (2, "at most 8 h")),
        (("ProviderDown", "--for", "2h", *why), (2, "there is nobody to ask")),
        (("ProviderDown", "--for", "2h", *why, "--yes"), (0, "✓ ProviderDown (twilio) is known")),
    ):
        code, said = pruuf("acknowledge", *words)
        assert (code, expected[1] in said) == (expected[0], True), said
    assert "ProviderDown (twilio) is known until" in pruuf("stats")[1]
    [known] = json.loads(pruuf("stats", "--json")[1])["acknowledged"]
    assert known["reason"] == "Twilio knows"
    code, said = pruuf("acknowledge", "ProviderDown", "--for", "0s", *why, "--yes")
    assert (code, "pages again" in said) == (0, True)
