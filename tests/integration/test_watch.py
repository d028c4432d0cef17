"""``pruuf watch`` on a real database: who is paged, when it is over, when the ping is silent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import psycopg
import pytest
from msgspec.structs import replace

from gateway.cli.watch import Watcher
from outbox.domain.messages import Page
from outbox.domain.outcomes import Outcome, Result
from outbox.providers.operator_paths import Operator
from outbox.providers.transport import Answer, Transport
from outbox.settings import Settings
from tests.integration.cli_process import KEY, Cli
from tests.integration.relay_fakes import FakePager

_PING = "https://deadman.example/ping"
_NOWHERE = "postgresql://127.0.0.1:9/nobody?connect_timeout=1"


class _Pings:
    def __init__(self) -> None:
        self.urls: list[str] = []

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes, timeout_s: float
    ) -> Answer:
        self.urls.append(url)
        return Answer(200, {}, b"")


class World:
    """A watcher, whom it calls and whom it pings."""

    def __init__(self, settings: Settings) -> None:
        self.pager, self.pings = FakePager(), _Pings()
        self.now = 1000.0
        self.said: list[str] = []
        self.watcher = Watcher(
            replace(settings, deadman_url=_PING),
            pager=cast("Operator", self.pager),
            pings=cast("Transport", self.pings),
            say=lambda text, _: self.said.append(text),
            clock=lambda: self.now,
        )

    @property
    def pages(self) -> list[str]:
        return [page.reason for page in self.pager.pages.values()]


@pytest.fixture
def alive(database_url: str) -> str:
    """A database that a relay and a gateway say to live at."""
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO relay (shard, id, host, pid, seen_at)"
            " VALUES (0, gen_random_uuid(), 'h', 1, now() + interval '1 hour')"
        )
        connection.execute(
            "INSERT INTO rollup_minute VALUES"
            " (0, date_trunc('minute', now()), 'events', 'alive', '', '', 4)"
        )
    return database_url


async def test_while_all_is_well_it_pings_and_pages_nobody(
    make_settings: Callable[[str], Settings], alive: str, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(make_settings(alive))
    with caplog.at_level("INFO", logger="pruuf.wide"):
        await world.watcher.look()
    assert (world.pages, world.pings.urls) == ([], [_PING])
    # One wide event a call, as for every other one; its address is a secret.
    [wide] = [record for record in caplog.records if record.name == "pruuf.wide"]
    assert wide.getMessage() == "deadman.ping"
    assert wide.__dict__["fields"]["result"] == "accepted"
    assert _PING not in str(wide.__dict__)


async def test_a_database_that_is_away_is_a_page_and_its_return_another(
    make_settings: Callable[[str], Settings], alive: str
) -> None:
    world = World(make_settings(alive))
    await world.watcher.look()
    world.watcher._url = _NOWHERE
    await world.watcher.look()
    assert world.pages == []
    world.now += 61
    await world.watcher.look()
    await world.watcher.look()
    assert world.pages == ["firing:DatabaseAway"]
    # Nothing is known, so the ping is silent from the first.
    assert world.pings.urls == [_PING]
    world.watcher._url = alive
    await world.watcher.look()
    await world.watcher.look()
    assert world.pages == ["firing:DatabaseAway", "resolved:DatabaseAway"]
    assert world.pings.urls[1:] == [_PING]


async def test_a_page_that_nobody_takes_silences_the_ping(
    make_settings: Callable[[str], Settings], alive: str
) -> None:
    with psycopg.connect(alive) as connection:
        connection.execute(
            "INSERT INTO rollup_minute VALUES"
            " (0, date_trunc('minute', now()), 'webhooks', 'forged', 'twilio', '', 6)"
        )
    world = World(make_settings(alive))

    def refuse(_: Page) -> Outcome:
        return Outcome(result=Result.RETRYABLE, provider="operator", code="connect")

    world.pager.answer = refuse
    await world.watcher.look()
    assert (world.pages, world.pings.urls) == ([], [])
    world.pager.answer = lambda _: Outcome(result=Result.ACCEPTED, provider="operator")
    await world.watcher.look()
    assert world.pages == ["firing:ForgedCallbacks"]
    assert "twilio" in world.said[-1]


def test_the_verbs_say_what_fires(tmp_path: Path, database_url: str) -> None:
    cli = Cli(tmp_path, DATABASE_URL=database_url, PRUUF_KEYS=KEY, PRUUF_LOOKUP_KEYS=KEY)
    assert "PRUUF_OPERATOR_WEBHOOK" in cli.run("watch", "--once").ended(2).err
    there = {"PRUUF_OPERATOR_WEBHOOK": "http://127.0.0.1:9/hook"}
    said = cli.run("watch", "--once", env=there).ended(1).out
    assert "✗ No relay is alive: nothing is delivered" in said
    told = cli.run("slo").ended(1).out
    assert "Nothing has been counted yet" in told
    assert "runbooks/relay-dead.md" in told


async def test_a_bad_one_that_is_counted_long_after_its_minute_is_news(
    make_settings: Callable[[str], Settings], alive: str
) -> None:
    world = World(make_settings(alive))
    with psycopg.connect(alive, autocommit=True) as connection:

        def count(until: str) -> None:
            connection.execute(
                "INSERT INTO rollup_head (shard, slo, until) VALUES (0, 'alerts',"
                f" date_trunc('minute', now()) - interval '{until}')"
                " ON CONFLICT (shard, slo) DO UPDATE SET until = excluded.until".encode()
            )

        count("2 hours")
        await world.watcher.look()
        connection.execute(
            "INSERT INTO rollup_minute VALUES (0, date_trunc('minute', now()) - interval"
            " '90 minutes', 'alerts', 'unreached', 'checkin.missed', '', 1)"
        )
        # No relay counted for two hours, and then one did.
        count("3 minutes")
        await world.watcher.look()
        assert world.pages == ["firing:MissedCheckinBad"]
        # After its quarter of an hour it is over.
        for _ in range(3):
            world.now += 600
            await world.watcher.look()
    assert world.pages == ["firing:MissedCheckinBad", "resolved:MissedCheckinBad"]
