"""``pruuf reconcile twilio``: the simulated Twilio's list against our attempts, and what to do."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from outbox.domain.content import short_reference
from outbox.settings import Settings
from outbox.simulators.environment import environment as simulated_settings
from tests.contract.simulated import Simulated, client, in_a_thread
from tests.integration.cli_process import Cli

from .conftest import environment
from .relay_fakes import UNKNOWN
from .relay_hand import Hand, hand, person

_TO = "+12025550123"


@pytest.fixture
async def by_hand(settings: Settings) -> AsyncIterator[Hand]:
    async with hand(settings) as made:
        yield made


@pytest.fixture
async def simulator(tmp_path: Path) -> AsyncIterator[str]:
    async with in_a_thread(tmp_path / "ledger.db") as url:
        yield url


@pytest.fixture
def cli(tmp_path: Path, database_url: str, simulator: str) -> Cli:
    values = simulated_settings(base_url=simulator, folder=tmp_path / "simulated")
    return Cli(tmp_path, **{**environment(database_url), **values})


class World:
    """Texts at the simulated Twilio, and attempts here."""

    def __init__(self, by_hand: Hand, sim: Simulated) -> None:
        self.by_hand = by_hand
        self._sim = sim

    async def at_twilio(self, body: str) -> str:
        """A delivered message; Twilio's name for it."""
        sid: str = (await self._sim.text(_TO, Body=body)).json()["sid"]
        while (await self._sim.message(sid)).json()["status"] != "delivered":
            pass
        return sid

    async def sent(self) -> tuple[UUID, str]:
        """A text that both sides know of; of its end we have not heard."""
        [notification] = (
            await self.by_hand.accept(self.by_hand.confirmed(person("m")[0], person()))
        ).values()
        await self.by_hand.work()
        sid = await self.at_twilio(f"Pruuf. Ref {short_reference(notification, 0)}")
        self.by_hand._owner.execute(
            "UPDATE attempt SET provider_id = %s, at = at - interval '10 minutes'"
            " WHERE notification = %s",
            (sid, notification),
        )
        return notification, sid


@pytest.fixture
async def world(by_hand: Hand, simulator: str) -> AsyncIterator[World]:
    async with client(simulator) as http:
        yield World(by_hand, Simulated(http))


async def test_both_sides_and_what_they_differ_about(world: World, cli: Cli) -> None:
    by_hand = world.by_hand
    unheard, sid = await world.sent()
    # The answer of a call was lost, and nobody has asked yet.
    by_hand.twilio.answer = lambda _: UNKNOWN
    told = await by_hand.accept(by_hand.confirmed(person("m")[0], person()))
    [settled] = [await by_hand.call(each) for each in await by_hand.claim()]
    await by_hand.settle(settled)
    [unrecorded] = told.values()
    lost = await world.at_twilio(f"Pruuf. Ref {short_reference(unrecorded, 0)}")
    # Twilio does not have it any more.
    _, gone = await world.sent()
    absent = "SM" + "f" * 32
    by_hand._owner.execute(
        "UPDATE attempt SET provider_id = %s WHERE provider_id = %s", (absent, gone)
    )
    nobodys = await world.at_twilio("Pruuf. Ref ZZZZZZZ1")
    await world.at_twilio("From another program")

    shown = cli.run("reconcile", "twilio").ended(1).out
    assert shown.startswith("✗ ")
    for name in (sid, lost, absent, nobodys):
        assert name in shown
    known = json.loads(cli.run("reconcile", "twilio", "--json").ended(1).out)
    assert _names(known, "unheard") == [(sid, str(unheard))]
    assert {(lost, str(unrecorded)), (gone, _of(by_hand, absent))} == set(
        _names(known, "unrecorded")
    )
    assert _names(known, "absent") == [(absent, _of(by_hand, absent))]
    assert _names(known, "nobodys") == [(nobodys, None)]
    assert (known["ok"], known["others"], known["repaired"]) == (False, 1, None)
    assert by_hand.rows("SELECT count(*) FROM inbox") == [(0,)]

    refused = cli.run("reconcile", "twilio", "--repair").ended(2)
    assert "nobody to ask" in refused.err
    done = json.loads(cli.run("reconcile", "twilio", "--repair", "--yes", "--json").ended(1).out)
    assert done["repaired"] == 3
    await by_hand.apply()
    assert by_hand.state(unheard)[0] == by_hand.state(unrecorded)[0] == "delivered"
    again = json.loads(cli.run("reconcile", "twilio", "--json").ended(1).out)
    assert (again["unheard"], again["unrecorded"]) == ([], [])


async def test_both_tell_the_same(world: World, cli: Cli) -> None:
    notification, sid = await world.sent()
    cli.run("reconcile", "twilio", "--repair", "--yes").ended(0)
    await world.by_hand.apply()
    assert world.by_hand.state(notification)[0] == "delivered"
    shown = cli.run("reconcile", "twilio", "--since", "1h").ended(0).out
    assert shown == "✓ both sides tell the same: 1 messages at Twilio, 1 as we have them\n"
    assert sid not in shown


async def test_a_twilio_that_refuses_is_named(world: World, cli: Cli) -> None:
    done = cli.run("reconcile", "twilio", env={"TWILIO_AUTH_TOKEN": "another-token"}).ended(3)
    assert done.err.startswith("✗ Twilio cannot be asked: ")
    assert "pruuf doctor" in done.err


def _names(known: dict[str, Any], apart: str) -> list[tuple[str, str | None]]:
    return [(each["provider_id"], each["notification"]) for each in known[apart]]


def _of(by_hand: Hand, sid: str) -> str:
    [(notification,)] = by_hand.rows(
        "SELECT notification FROM attempt WHERE provider_id = %s", (sid,)
    )
    return str(notification)
