"""``pruuf search``, as a person and a program read it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.integration.cli_process import Cli, Done

from .codes import Api
from .conftest import BOB, CAROL, confirmed, environment, invited, missed

_OLDER_KEY = base64.urlsafe_b64encode(bytes(range(1, 33))).decode()


@pytest.fixture
def cli(tmp_path: Path, database_url: str) -> Cli:
    return Cli(tmp_path, **environment(database_url))


@pytest.fixture
async def stored(api: Api) -> list[str]:
    """Ids in order: an alert to Bob and Carol, a note to Bob, an invitation to Carol's number."""
    ids = []
    for event in (missed(BOB, CAROL), confirmed(BOB), invited()):
        answer = await api.post("/v1/events", json=event)
        assert answer.status_code == 202, answer.text
        ids += [each["id"] for each in answer.json()["notifications"]]
    # Those of one moment have no order but that of their ids.
    return sorted(ids)


@pytest.fixture
def search(cli: Cli) -> Callable[..., list[str]]:
    def run(*arguments: str, **settings: str) -> list[str]:
        done = cli.run("search", *arguments, "--json", env=settings).ended(0)
        return [each["id"] for each in items(done)]

    return run


def items(done: Done) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(done.out)["items"]
    return found


async def test_everything_newest_first(stored: list[str], cli: Cli) -> None:
    done = cli.run("search", "--json").ended(0)
    assert [each["id"] for each in items(done)] == stored[::-1]
    assert json.loads(done.out)["next"] is None
    assert items(done)[0].keys() >= {"id", "event_id", "kind", "recipient", "state", "reason"}
    told = cli.run("search").ended(0).out.splitlines()
    assert told[0].split() == ["accepted", "what", "for", "state", "id"]
    assert "Missed check-in of m_1" in told[-1]
    assert "+1202" not in "".join(told)


async def test_filters_narrow_it_down(stored: list[str], search: Callable[..., list[str]]) -> None:
    *alerts, note, invitation = stored
    [to_bob] = search("--recipient", "c_1", "--kind", "checkin.missed")
    [to_carol] = search("--recipient", "c_2")
    assert search("--recipient", "c_1") == [note, to_bob]
    assert search("--kind", "checkin.missed") == alerts[::-1]
    assert sorted([to_bob, to_carol]) == alerts
    assert search("--state", "pending") == stored[::-1]
    assert search("--state", "delivered") == []
    assert search("--limit", "2") == [invitation, note]


async def test_a_number_is_found_whoever_it_belongs_to(
    stored: list[str], search: Callable[..., list[str]]
) -> None:
    *_, invitation = stored
    [to_carol] = search("--recipient", "c_2")
    assert search("--phone", CAROL["phone"]) == [invitation, to_carol]
    assert search("--phone", CAROL["phone"], "--kind", "member.invited") == [invitation]
    assert search("--phone", "+12025550177") == []


async def test_a_number_is_found_under_older_look_up_keys_too(
    stored: list[str], search: Callable[..., list[str]], database_url: str
) -> None:
    newest = environment(database_url)["PRUUF_LOOKUP_KEYS"]
    rotated = f"{_OLDER_KEY},{newest}"
    assert len(search("--phone", CAROL["phone"], PRUUF_LOOKUP_KEYS=rotated)) == 2
    assert search("--phone", CAROL["phone"], PRUUF_LOOKUP_KEYS=_OLDER_KEY) == []


async def test_since_takes_times_and_spans(
    stored: list[str], search: Callable[..., list[str]], database_url: str
) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "UPDATE notification SET created_at = now() - interval '2 hours' WHERE id = %s",
            (stored[0],),
        )
    hour_ago = datetime.now(UTC) - timedelta(hours=1)
    for since in ("1h", "3600s", "60m", hour_ago.isoformat(), f"{hour_ago:%Y-%m-%dT%H:%M:%SZ}"):
        assert search("--since", since) == stored[:0:-1], since
    assert search("--since", "1d") == stored[::-1]


async def test_there_is_more(stored: list[str], cli: Cli) -> None:
    done = cli.run("search", "--limit", "3").ended(0)
    assert "more than 3" in done.err
    assert json.loads(cli.run("search", "--limit", "3", "--json").ended(0).out)["next"]


def test_nothing_fits(cli: Cli) -> None:
    assert cli.run("search", "--recipient", "nobody").ended(0).out == "No notification fits.\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--since", "yesterday"), "--since"),
        (("--since", "2026-11-23T09:00:00"), "--since"),
        (("--since", "5w"), "--since"),
        (("--since", "999999999d"), "--since"),
        (("--state", "lost"), "accepted: pending, sending"),
        (("--phone", "12025550123"), "a number without + and country code"),
        (("--limit", "0"), "--limit"),
    ],
)
def test_wrong_use(arguments: tuple[str, ...], said: str, cli: Cli) -> None:
    done = cli.run("search", *arguments).ended(2)
    assert said in done.err
    assert "2025550123" not in done.err.replace("+12025550123", "")


def test_a_database_that_is_away(cli: Cli) -> None:
    nowhere = "postgresql://somebody@127.0.0.1:1/pruuf"
    for more in ((), ("--phone", "+12025550123")):
        done = cli.run("search", *more, env={"DATABASE_URL": nowhere}).ended(3)
        assert "DATABASE_URL" in done.err
