"""``pruuf cancel`` and ``pruuf redrive``: seen first, asked for, done, and recorded."""

from __future__ import annotations

import getpass
import json
import os
import socket
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from outbox.domain.ids import new_id
from outbox.domain.outcomes import Result
from outbox.settings import Settings
from outbox.store.wake import CHANNEL
from tests.integration.cli_process import Cli

from .conftest import environment
from .relay_fakes import accepted, refused
from .relay_hand import Hand, hand, person

_WHY = ("--reason", "the Member is with us")


@pytest.fixture
def cli(tmp_path: Path, database_url: str) -> Cli:
    return Cli(tmp_path, **environment(database_url))


@pytest.fixture
async def by_hand(settings: Settings) -> AsyncIterator[Hand]:
    async with hand(settings) as made:
        yield made


async def _noted(by_hand: Hand, count: int = 1) -> list[UUID]:
    contacts = [person() for _ in range(count)]
    told = await by_hand.accept(by_hand.confirmed(person("m")[0], *contacts))
    return [told[contact] for contact, _ in contacts]


async def _parked(by_hand: Hand, count: int = 1) -> list[UUID]:
    by_hand.twilio.answer = lambda _: refused(Result.CONFIGURATION_FAULT, "20003")
    ids = await _noted(by_hand, count)
    await by_hand.work()
    by_hand.calm()
    assert {by_hand.state(each)[0] for each in ids} == {"parked"}
    by_hand.twilio.answer = lambda _: accepted()
    return ids


def _actions(by_hand: Hand) -> list[tuple[Any, ...]]:
    return by_hand.rows("SELECT notification, what, actor, reason, result FROM action ORDER BY at")


async def test_cancel_withdraws_and_records_who_and_why(by_hand: Hand, cli: Cli) -> None:
    [note] = await _noted(by_hand)
    done = cli.run("cancel", str(note), *_WHY, "--yes").ended(0)
    assert "✓ withdrawn; nothing of it was, or ever will be, sent" in done.out
    assert by_hand.state(note) == ("cancelled", "cancelled")
    actor = f"{getpass.getuser()}@{socket.gethostname()}"
    assert _actions(by_hand) == [(note, "cancel", actor, "the Member is with us", "cancelled")]
    await by_hand.work()
    assert by_hand.twilio.calls == []
    story = cli.run("trace", str(note)).ended(0).out
    assert actor in story
    assert "the Member is with us" in story


async def test_a_dry_run_says_what_would_be_and_touches_nothing(by_hand: Hand, cli: Cli) -> None:
    [parked] = await _parked(by_hand)
    [note] = await _noted(by_hand)
    tables = ("notification", "due", "action", "alert", "attempt")
    before = [by_hand.rows(f"SELECT xmin::text, t::text FROM {table} t") for table in tables]
    told = cli.run("cancel", str(note), "--dry-run").ended(0).out
    assert "would be withdrawn" in told
    would = json.loads(cli.run("redrive", str(parked), "--dry-run", "--json").ended(0).out)
    assert would == {"id": str(parked), "result": "redriven", "state": "pending", "dry_run": True}
    cli.run("redrive", "--state", "parked", "--dry-run").ended(0)
    after = [by_hand.rows(f"SELECT xmin::text, t::text FROM {table} t") for table in tables]
    # xmin tells that not even a lock became an update.
    assert after == before


async def test_what_had_a_call_gets_no_further_one(by_hand: Hand, cli: Cli) -> None:
    by_hand.twilio.answer = lambda _: refused(Result.RETRYABLE, "20429")
    [note] = await _noted(by_hand)
    await by_hand.work()
    calls = len(by_hand.twilio.calls)
    done = cli.run("cancel", str(note), *_WHY, "--yes", "--json").ended(0)
    assert json.loads(done.out)["result"] == "in_flight"
    await by_hand.to_the_end()
    assert len(by_hand.twilio.calls) == calls
    assert by_hand.state(note)[0] == "cancelled"


async def test_what_is_at_its_end_is_left_as_it_is(by_hand: Hand, cli: Cli) -> None:
    [note] = await _noted(by_hand)
    cli.run("cancel", str(note), *_WHY, "--yes").ended(0)
    for more in (("--yes",), ("--dry-run",)):
        done = cli.run("cancel", str(note), *_WHY, *more).ended(1)
        assert "✗ at its end, and left as it is" in done.out
    again = cli.run("redrive", str(note), *_WHY, "--yes", "--json").ended(1)
    assert json.loads(again.out)["result"] == "already_final"


async def test_redrive_puts_one_back_to_work(by_hand: Hand, cli: Cli) -> None:
    [note] = await _parked(by_hand)
    told = cli.run("redrive", str(note), *_WHY, "--yes").ended(0).out
    assert "✓ back at work, from its first step" in told
    await by_hand.work()
    assert len(by_hand.twilio.texts_of(note)) == 1


async def test_redrive_of_a_state_previews_counts_and_redrives_all(by_hand: Hand, cli: Cli) -> None:
    ids = await _parked(by_hand, 23)
    [other] = await _noted(by_hand)
    seen = cli.run("redrive", "--state", "parked", "--dry-run").ended(0).out
    assert "23  checkin.confirmed  twilio_20003" in seen
    assert "and 3 more" in seen
    assert "✓ 23 would be redriven" in seen
    assert _actions(by_hand) == []
    done = cli.run("redrive", "--state", "parked", *_WHY, "--yes", "--json").ended(0)
    told = json.loads(done.out)
    assert told["results"] == {"redriven": 23}
    assert {each["id"] for each in told["items"]} == {str(each) for each in ids}
    assert len(_actions(by_hand)) == 23
    assert {by_hand.state(each)[0] for each in ids} == {"open"}
    assert other not in {row[0] for row in _actions(by_hand)}
    assert "nothing fits" in cli.run("redrive", "--state", "parked", *_WHY, "--yes").ended(0).out


async def test_redrive_since_and_kind_leave_the_others(by_hand: Hand, cli: Cli) -> None:
    old, new, withdrawn = await _parked(by_hand, 3)
    by_hand.rows(
        "UPDATE notification SET reason = 'withdrawn' WHERE id = %s RETURNING 1", (withdrawn,)
    )
    with psycopg.connect(by_hand.settings.require_database()) as connection:
        connection.execute(
            "UPDATE notification SET created_at = now() - interval '3 hours' WHERE id = %s", (old,)
        )
    select = ("redrive", "--state", "parked", "--dry-run", "--json")
    for more, expected in (
        (("--since", "1h"), [new]),
        (("--since", "1d"), [new, old]),
        (("--kind", "checkin.confirmed"), [new, old]),
        (("--kind", "member.invited"), []),
    ):
        would = json.loads(cli.run(*select, *more).ended(0).out)
        assert sorted(each["id"] for each in would["items"]) == sorted(map(str, expected))


async def test_relays_are_woken(by_hand: Hand, cli: Cli) -> None:
    [note] = await _parked(by_hand)
    url = by_hand.settings.require_database()
    with psycopg.connect(url, autocommit=True) as listening:
        listening.execute(f"LISTEN {CHANNEL}")
        cli.run("redrive", str(note), "--dry-run").ended(0)
        assert list(listening.notifies(timeout=0)) == []
        cli.run("redrive", str(note), *_WHY, "--yes").ended(0)
        [said] = listening.notifies(timeout=60, stop_after=1)
    assert said.payload == "lane:2"


def _at_a_terminal(cli: Cli, typed: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    ours, theirs = os.openpty()
    os.write(ours, typed.encode())
    done = subprocess.run(
        cli.command(*arguments),
        stdin=theirs,
        capture_output=True,
        cwd=cli.folder,
        env=cli.environ,
        timeout=120,
        check=False,
    )
    os.close(ours)
    os.close(theirs)
    return done


@pytest.mark.parametrize(("typed", "code"), [("y\n", 0), ("n\n", 1), ("\n", 1)])
async def test_on_a_terminal_it_asks(typed: str, code: int, by_hand: Hand, cli: Cli) -> None:
    [note] = await _noted(by_hand)
    done = _at_a_terminal(cli, typed, "cancel", str(note), *_WHY)
    assert b"cancel it: withdrawn; nothing of it was" in done.stderr
    assert done.returncode == code, done.stderr
    assert by_hand.state(note)[0] == ("cancelled" if code == 0 else "open")
    assert len(_actions(by_hand)) == (1 if code == 0 else 0)


async def test_without_a_terminal_nobody_is_asked(by_hand: Hand, cli: Cli) -> None:
    [note] = await _noted(by_hand)
    done = cli.run("cancel", str(note), *_WHY).ended(2)
    assert "--yes" in done.err
    assert "--dry-run" in done.err
    assert by_hand.state(note)[0] == "open"


def test_what_nobody_knows(cli: Cli) -> None:
    for verb in ("cancel", "redrive"):
        done = cli.run(verb, str(new_id(3)), *_WHY, "--yes").ended(1)
        assert "there is no notification" in done.err
        assert "no id of ours" in cli.run(verb, "evt-1", *_WHY, "--yes").ended(1).err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("cancel",), "ID"),
        (("cancel", "ID", "--yes"), "--reason"),
        (("cancel", "ID", "--reason", " ", "--yes"), "--reason"),
        (("cancel", "ID", "--reason", "a\x1b[2Jb", "--yes"), "--reason"),
        (("cancel", "ID", "--reason", "x" * 501, "--yes"), "--reason"),
        (("redrive", *_WHY), "either one notification or all of a state"),
        (("redrive", "ID", "--state", "parked", *_WHY), "either one notification"),
        (("redrive", "ID", "--since", "1h", *_WHY), "either one notification"),
        (("redrive", "--since", "1h", *_WHY), "either one notification"),
        (("redrive", "ID", "--callbacks", *_WHY), "either one notification"),
        (("redrive", "--state", "delivered", *_WHY), "accepted: parked, undeliverable"),
        (("redrive", "--state", "parked", "--since", "soon", *_WHY), "--since"),
    ],
)
def test_wrong_use(arguments: tuple[str, ...], said: str, cli: Cli) -> None:
    given = [str(new_id(0)) if each == "ID" else each for each in arguments]
    assert said in cli.run(*given).ended(2).err


def test_a_database_that_is_away(cli: Cli) -> None:
    nowhere = "postgresql://somebody@127.0.0.1:1/pruuf"
    for arguments in (("cancel", str(new_id(0))), ("redrive", "--state", "parked")):
        done = cli.run(*arguments, *_WHY, "--yes", env={"DATABASE_URL": nowhere}).ended(3)
        assert "DATABASE_URL" in done.err
