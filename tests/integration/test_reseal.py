"""What an older key sealed goes under the newest one, all of it, beside whatever else goes on."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from msgspec.structs import replace
from psycopg import sql
from typer.testing import CliRunner, Result

from gateway.cli import reseal as verb
from gateway.cli import verbs
from outbox.keyfile import printed_keys
from outbox.sealing import Sealer
from outbox.settings import NAMES, Settings
from outbox.store import resealing
from outbox.store.resealing import FIELDS, Field

from .audit_world import audited, build, named, near, proven
from .conftest import environment, rows
from .relay_hand import Hand, hand

NEW = secrets.token_bytes(32)
Pruuf = Callable[..., Result]


@pytest.fixture
async def by_hand(settings: Settings) -> AsyncIterator[Hand]:
    async with hand(settings) as made:
        yield made


@pytest.fixture
def rotated(settings: Settings) -> Settings:
    return replace(settings, keys=(NEW, *settings.keys))


@pytest.fixture
def pruuf(
    tmp_path: Path, database_url: str, rotated: Settings, monkeypatch: pytest.MonkeyPatch
) -> Pruuf:
    given = {**environment(database_url), "PRUUF_KEYS": printed_keys(rotated.keys)}
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(verb, "_BETWEEN_S", 0.0)
    return lambda *words: CliRunner().invoke(verbs.app, ["reseal", *words], prog_name="pruuf")


def _under(database_url: str, key: bytes) -> dict[tuple[str, str], int]:
    """How many values of every column of the schema begin as those under this key do."""
    columns = rows(
        database_url,
        "SELECT table_name, column_name FROM information_schema.columns"
        " JOIN pg_class ON oid = format('%I.%I', table_schema, table_name)::regclass"
        " WHERE table_schema = 'public' AND data_type = 'bytea' AND NOT relispartition"
        " AND relkind IN ('r', 'p')",
    )
    begins = Sealer([key], [key]).newest
    with psycopg.connect(database_url) as owner:
        counted = {
            (table, column): owner.execute(
                sql.SQL("SELECT count(*) FROM {} WHERE substring({} FROM 1 FOR 4) = %s").format(
                    sql.Identifier(table), sql.Identifier(column)
                ),
                (begins,),
            ).fetchone()
            for table, column in columns
        }
    return {where: row[0] for where, row in counted.items() if row and row[0]}


async def test_everything_opens_without_the_older_key_afterwards(
    by_hand: Hand, settings: Settings, database_url: str, pruuf: Pruuf
) -> None:
    await build(by_hand)
    await proven(settings)
    before = _under(database_url, settings.keys[0])
    # No column that holds something sealed is forgotten.
    assert before.keys() == {(field.table, field.name) for field in FIELDS}
    rehearsed = json.loads(pruuf("--dry-run", "--json").stdout)
    assert {(each["table"], each["field"]): each["left"] for each in rehearsed["fields"]} == before
    assert _under(database_url, NEW) == {}

    done = pruuf("--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert {(each["table"], each["field"]): each["resealed"] for each in told["fields"]} == before
    assert _under(database_url, settings.keys[0]) == {}
    assert _under(database_url, NEW) == before
    # It is sound for whoever has the new key alone, and no root has moved.
    alone = replace(settings, keys=(NEW,))
    assert named(await audited(alone)) == set()
    assert {each.check for each in (await audited(settings)).found} == {"unreadable"}


async def test_it_says_what_it_does_to_a_person(by_hand: Hand, pruuf: Pruuf) -> None:
    await build(by_hand)
    rehearsed = pruuf("--dry-run")
    assert rehearsed.exit_code == 1
    assert "values are under an older key; pruuf reseal seals them anew" in rehearsed.output
    done = pruuf()
    assert done.exit_code == 0, done.output
    assert "values sealed anew; everything is under the newest key: the older" in done.output
    again = pruuf()
    assert again.exit_code == 0
    assert "sealed anew;" not in again.output


async def test_what_another_holds_is_passed_over_and_done_by_the_next_pass(
    by_hand: Hand, rotated: Settings, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # More than one transaction each.
    monkeypatch.setattr(resealing, "AT_ONCE", 2)
    await build(by_hand)
    sealer = Sealer(rotated.keys, rotated.lookup_keys)
    before = _under(database_url, rotated.keys[1])
    with (
        psycopg.connect(database_url) as other,
        resealing.connect(database_url) as connection,
    ):
        held = other.execute(
            "SELECT id FROM notification WHERE length(content) > 0 ORDER BY id LIMIT 1 FOR UPDATE"
        ).fetchall()
        steps = list(resealing.reseal(connection, sealer))
        assert sum(step.resealed for step in steps) == sum(before.values()) - len(held)
        assert max(step.resealed for step in steps) == 2
        other.rollback()
        again = [step for step in resealing.reseal(connection, sealer) if step.resealed]
        assert [(step.field, step.resealed) for step in again] == [
            (Field("notification", "content"), 1)
        ]


async def test_what_no_key_opens_is_named_and_the_rest_is_done(
    by_hand: Hand, settings: Settings, database_url: str, pruuf: Pruuf
) -> None:
    await build(by_hand)
    lost = Sealer([secrets.token_bytes(32)], settings.lookup_keys)
    name = near("lost")
    sealed = lost.seal(b"Ada", table="recipient", row=name, field="name")
    with psycopg.connect(database_url) as owner:
        owner.execute("INSERT INTO recipient (shard, id, name) VALUES (0, %s, %s)", (name, sealed))
    done = pruuf()
    assert done.exit_code == 1
    assert f"no key of PRUUF_KEYS opens recipient {name}" in done.output
    assert _under(database_url, settings.keys[0]) == {}
    fields: list[dict[str, Any]] = json.loads(pruuf("--json").stdout)["fields"]
    left = [each for each in fields if each["left"]]
    assert [(each["table"], each["field"], each["unreadable"]) for each in left] == [
        ("recipient", "name", [name])
    ]


async def test_what_was_erased_stays_empty(by_hand: Hand, database_url: str, pruuf: Pruuf) -> None:
    await build(by_hand)
    with psycopg.connect(database_url) as owner:
        owner.execute("UPDATE event SET data = ''")
    assert pruuf().exit_code == 0
    assert rows(database_url, "SELECT DISTINCT data FROM event") == [(b"",)]
