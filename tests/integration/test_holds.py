"""A person holds a provider: no relay calls it, alerts go another way, and nothing is stranded."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient
from psycopg import errors
from typer.testing import CliRunner

from gateway.cli import verbs
from outbox.domain.outcomes import Result
from outbox.settings import NAMES, Settings
from outbox.store import holds
from outbox.store.connect import Role, connect
from outbox.store.keys import Scope

from .conftest import MakeKey, environment
from .relay_alerted import raise_alert
from .relay_fakes import NEVER_ARRIVED, SENDERS, accepted, said
from .relay_fleet import KEY, relays
from .relay_hand import Hand, hand, person
from .test_api_problems import assert_problem

_WHY = {"reason": "texts arrive twice"}


async def _hold(by_hand: Hand, provider: str = "twilio", sender: str = "") -> None:
    connection = await by_hand.gateway()
    await holds.hold(connection, provider, sender, for_s=3600, actor="Ann", reason="why")
    await by_hand.share()


async def _release(by_hand: Hand, provider: str = "twilio") -> None:
    assert await holds.release(await by_hand.gateway(), provider, "", actor="Ann", reason="mended")
    await by_hand.share()


async def test_all_relays_obey_a_hold_and_its_end(database_url: str) -> None:
    async with relays(database_url, 2) as (made, _):
        async with await connect(database_url, Role.GATEWAY, application="tests") as gateway:
            await holds.hold(gateway, "twilio", KEY.sender, for_s=60, actor="Ann", reason="why")
            for relay in made:
                await relay.round()
                assert (relay.ask().go, relay.ask().why) == (False, "on_hold")
            assert await holds.release(gateway, "twilio", "", actor="Ann", reason="mended") == 1
            for relay in made:
                await relay.round()
                assert relay.ask().go
            # What ends by itself needs nobody.
            await holds.hold(gateway, "twilio", "", for_s=1, actor="Ann", reason="why")
        await made[0].round()
        assert not made[0].ask().go
        made[0].way.on_hold_until = 0.0
        connection = await made[0].session.get()
        await connection.execute("SELECT pg_sleep(1.05)")
        await made[0].round()
        assert made[0].ask().go


async def test_an_alert_takes_its_next_step_without_a_try(by_hand: Hand) -> None:
    await _hold(by_hand)
    alerted = await raise_alert(by_hand, device=True)
    await by_hand.work()
    assert by_hand.twilio.calls == []
    assert len(by_hand.fcm.taken) == 1
    first = (0, "skip", "sms", "retryable", "provider_held")
    assert by_hand.attempts(alerted.alert)[0] == first
    assert by_hand.pager.reasons == []


async def test_the_last_way_of_an_alert_waits_for_the_release_and_a_person_knows(
    by_hand: Hand,
) -> None:
    await _hold(by_hand)
    await _hold(by_hand, "fcm")
    alerted = await raise_alert(by_hand, device=True)
    await by_hand.pass_(10.0)
    assert by_hand.pager.reasons == ["provider_held"]
    assert "somebody holds the last provider" in next(iter(by_hand.pager.pages.values())).summary
    await by_hand.pass_(1800.0, step=60.0)
    assert by_hand.state(alerted.alert) == ("open", None)
    assert (by_hand.twilio.calls, by_hand.fcm.calls) == ([], [])
    await _release(by_hand)
    await by_hand.pass_(3.0)
    [taken] = by_hand.twilio.taken
    await by_hand.hear(said(taken, "delivered"))
    assert by_hand.state(alerted.alert) == ("delivered", None)
    assert len(by_hand.pager.pages) == 1


async def test_whom_only_a_held_provider_reaches_is_not_given_up(by_hand: Hand) -> None:
    """Without the app the push comes to nothing; what is left is the text, and it is held."""
    await _hold(by_hand)
    alerted = await raise_alert(by_hand)
    await by_hand.pass_(60.0, step=5.0)
    assert by_hand.state(alerted.alert) == ("open", None)
    assert by_hand.pager.reasons == ["provider_held"]
    await _release(by_hand)
    await by_hand.pass_(3.0)
    assert len(by_hand.twilio.taken) == 1


async def test_of_several_senders_the_others_go_on(by_hand: Hand) -> None:
    held = by_hand.sealer.lookup(SENDERS[0]).hex()[:16]
    await by_hand.share()
    await _hold(by_hand, sender=held)
    await raise_alert(by_hand)
    await by_hand.work()
    assert [one.sms.sender for one in by_hand.twilio.taken] == [SENDERS[1]]


async def test_what_is_no_alert_waits_and_loses_neither_try_nor_time(by_hand: Hand) -> None:
    await _hold(by_hand)
    contact = person()
    told = await by_hand.accept(by_hand.confirmed(person("m")[0], contact))
    note = told[contact[0]]
    await by_hand.pass_(1800.0, step=60.0)
    due = by_hand.due(note)
    assert due is not None
    assert (due["step"], due["attempt"], due["parked"]) == (0, 0, False)
    await _release(by_hand)
    await by_hand.pass_(60.0, step=5.0)
    assert len(by_hand.twilio.taken) == 1


async def test_a_held_provider_is_not_asked_either(by_hand: Hand) -> None:
    contact = person()
    by_hand.twilio.answer = lambda _: NEVER_ARRIVED
    told = await by_hand.accept(by_hand.confirmed(person("m")[0], contact))
    await by_hand.work()
    by_hand.twilio.answer = lambda _: accepted()
    by_hand.calm()
    await _hold(by_hand)
    await by_hand.pass_(300.0, step=10.0)
    asked = [each for each in by_hand.attempts(told[contact[0]]) if each[1] == "ask"]
    assert asked == []
    await _release(by_hand)
    await by_hand.pass_(60.0, step=5.0)
    assert [each[3] for each in by_hand.attempts(told[contact[0]])][:3] == [
        Result.OUTCOME_UNKNOWN,
        Result.RETRYABLE,
        Result.RETRYABLE,
    ]
    assert len(by_hand.twilio.taken) == 1


async def test_the_preview_counts_what_would_be_touched(
    api: AsyncTestClient[Litestar], by_hand: Hand
) -> None:
    await by_hand.share()
    await raise_alert(by_hand, device=True)
    await raise_alert(by_hand)
    await by_hand.accept(by_hand.confirmed(person("m")[0], person(), person()))
    body: dict[str, Any] = {**_WHY, "for_s": 600, "dry_run": True}
    would = (await api.post("/v1/providers/twilio/hold", json=body)).json()
    assert would["result"] == "would_be_held"
    # The second has neither the app nor another number.
    assert would["touched"] == {"alerts": 2, "stranded": 1, "others": 2}
    assert by_hand.rows("SELECT FROM provider_hold") == []
    sender = {"sender": SENDERS[0]}
    some = (await api.post("/v1/providers/twilio/hold", json={**body, **sender})).json()
    assert some["touched"] == {"alerts": 0, "stranded": 0, "others": 0}
    pushes = (await api.post("/v1/providers/fcm/hold", json=body)).json()
    assert pushes["touched"] == {"alerts": 2, "stranded": 0, "others": 2}

    # With FCM held, nobody has another way than texts.
    await api.post("/v1/providers/fcm/hold", json={**_WHY, "for_s": 600})
    would = (await api.post("/v1/providers/twilio/hold", json=body)).json()
    assert would["touched"] == {"alerts": 2, "stranded": 2, "others": 2}


async def test_it_is_held_listed_released_and_kept_for_ever(
    api: AsyncTestClient[Litestar], by_hand: Hand
) -> None:
    await by_hand.share()
    held = (await api.post("/v1/providers/twilio/hold", json={**_WHY, "for_s": 600})).json()
    assert (held["result"], held["sender"]) == ("held", "")
    listed = (await api.get("/v1/providers")).json()
    called = {each["provider"]: each["called"] for each in listed["items"]}
    assert called == {"twilio": False, "fcm": True, "fcm_topics": True, "stripe": True}
    [hold] = listed["holds"]
    assert (hold["reason"], hold["until"]) == ("texts arrive twice", held["until"])
    # The same once more is one hold, with another end.
    await api.post("/v1/providers/twilio/hold", json={**_WHY, "for_s": 900})
    assert len((await api.get("/v1/providers")).json()["holds"]) == 1
    released = (await api.post("/v1/providers/twilio/release", json=_WHY)).json()
    assert released["result"] == "released"
    released = (await api.post("/v1/providers/twilio/release", json=_WHY)).json()
    assert released["result"] == "not_held"
    kept = by_hand.rows("SELECT actor, reason, released_why FROM provider_hold ORDER BY id")
    assert [row[2] for row in kept] == ["held anew: texts arrive twice", "texts arrive twice"]
    assert all(row[0].endswith("(test)") for row in kept)


async def test_a_hold_of_one_sender_and_one_of_all_end_each_for_itself(by_hand: Hand) -> None:
    gateway = await by_hand.gateway()

    async def held() -> list[str]:
        return sorted(each.sender for each in (await holds.read(gateway))[0])

    for sender in ("a", "b", ""):
        await holds.hold(gateway, "twilio", sender, for_s=600, actor="Ann", reason="why")
    assert await held() == ["", "a", "b"]
    await holds.hold(gateway, "fcm", "", for_s=600, actor="Ann", reason="why")
    assert await holds.release(gateway, "twilio", "a", actor="Ann", reason="mended") == 1
    assert await held() == ["", "", "b"]
    # Whoever releases a provider wants it called.
    assert await holds.release(gateway, "twilio", "", actor="Ann", reason="mended") == 2
    assert [each.provider for each in (await holds.read(gateway))[0]] == ["fcm"]


async def test_only_what_there_is_can_be_held_and_only_by_who_may(
    api: AsyncTestClient[Litestar], make_key: MakeKey
) -> None:
    wanted = {**_WHY, "for_s": 600}
    for path in ("operator", "pigeon"):
        answer = await api.post(f"/v1/providers/{path}/hold", json=wanted)
        assert_problem(answer, 404, "not-found")
        assert_problem(await api.post(f"/v1/providers/{path}/release", json=_WHY), 404, "not-found")
    nobody = {**wanted, "sender": "+12025550100"}
    assert_problem(await api.post("/v1/providers/twilio/hold", json=nobody), 404, "not-found")
    for broken in ({**wanted, "for_s": 86_401}, {**wanted, "for_s": 0}, {"for_s": 60}, _WHY):
        assert_problem(await api.post("/v1/providers/twilio/hold", json=broken), 400, "invalid")
    reader = {"Authorization": make_key(Scope.READ)}
    answer = await api.post("/v1/providers/twilio/hold", json=wanted, headers=reader)
    assert_problem(answer, 403, "scope")
    assert (await api.get("/v1/providers", headers=reader)).json() == {"items": [], "holds": []}


def pruuf(*words: str) -> tuple[int, str]:
    """Exit code and what was said, in this process: starting one for each takes its time."""
    done = CliRunner().invoke(verbs.app, words, prog_name="pruuf")
    assert isinstance(done.exception, SystemExit | None), done.exception
    return done.exit_code, done.output


def test_the_verbs_show_ask_do_and_tell(
    tmp_path: Path, settings: Settings, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def begun() -> None:
        async with hand(settings) as by_hand:
            await by_hand.share()
            await raise_alert(by_hand)

    asyncio.run(begun())
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment(database_url).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    code, told = pruuf("hold", "twilio", "--dry-run")
    assert (code, "alerts to which no other way is left: 1" in told) == (0, True)
    why = ("--reason", "texts arrive twice")
    for words, expected in (
        (("hold", "twilio", *why, "--yes"), (2, "it needs an end — --for")),
        (("hold", "twilio", "--for", "25h", *why, "--yes"), (2, "at most 24 h")),
        (("hold", "twilio", "--for", "1h", *why), (2, "there is nobody to ask")),
        (("hold", "pigeon", "--for", "1h", *why, "--yes"), (2, "cannot be held")),
        (("hold", "twilio", "--sender", "+12025550100", "--dry-run"), (1, "no relay uses it")),
        (("release", "twilio", *why, "--yes"), (1, "nobody holds Twilio")),
        (("hold", "twilio", "--for", "1h", *why, "--yes"), (0, "✓ Twilio is held until")),
        (("stats",), (0, "✗ Twilio is held until")),
        (("release", "twilio", "--dry-run"), (0, "✓ Twilio would be released")),
        (("release", "twilio", *why, "--yes"), (0, "✓ Twilio is released")),
    ):
        code, told = pruuf(*words)
        assert (code, expected[1] in told) == (expected[0], True), (words, told)
    assert json.loads(pruuf("stats", "--json")[1])["holds"] == []


async def test_a_record_cannot_be_changed_by_who_makes_it(by_hand: Hand) -> None:
    await _hold(by_hand)
    with pytest.raises(errors.InsufficientPrivilege):
        await (await by_hand.gateway()).execute("UPDATE provider_hold SET actor = 'Bob'")
