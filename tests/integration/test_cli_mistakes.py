"""What people do wrong: each ends with the documented exit code and says what, where, and why."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psycopg
import pytest

from tests.integration.cli_process import KEY, Cli, Done, stopped

_NOWHERE = "postgresql://somebody:geheim@127.0.0.1:1/pruuf"
_KEYS = {"PRUUF_KEYS": KEY, "PRUUF_LOOKUP_KEYS": KEY}
_AWAY = {**_KEYS, "DATABASE_URL": _NOWHERE}
_ID = "01a20e46-c338-72d2-af1e-2e55ca432108"


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Commands"),
        (("nonsense",), "No such command 'nonsense'"),
        (("trace",), "Missing argument 'ID'"),
        (("key", "create", "app"), "--scope"),
        (("key", "create", "app", "--scope", "all"), "'events', 'recipients', 'read', 'operate'"),
        (("key", "create", "", "--scope", "events"), "NAME"),
        (("key", "create", "a\x1b[2Jb", "--scope", "events"), "NAME"),
        (("send", "events.ndjson"), "pruuf key create"),
        (("send", "events.ndjson", "--key", "k"), "events.ndjson cannot be read"),
        (("send", ".", "--key", "k"), "directory"),
        (("send", "-", "--key", "schlüssel"), "--key or PRUUF_API_KEY"),
        (("send", "-", "--key", "k", "--url", "gateway:8080"), "--url or PRUUF_URL"),
        (("send", "-", "--key", "k", "--url", "http://"), "--url or PRUUF_URL"),
        (("send", "-", "--key", "k", "--patience-s", "soon"), "--patience-s"),
        (("simulate", "--port", "70000"), "--port"),
        (("simulate", "--port", "0", "--callback", "here"), "--callback"),
    ],
)
def test_wrong_use(cli: Cli, arguments: tuple[str, ...], said: str) -> None:
    done = cli.run(*arguments).ended(2)
    assert said in done.err + done.out


@pytest.mark.parametrize("identity", ["evt-1", "7", "c\x1b[2J", f"{_ID}0"])
def test_what_is_no_id_of_ours(cli: Cli, identity: str) -> None:
    done = cli.run("trace", identity).ended(1)
    assert "no id of ours" in done.err


@pytest.mark.parametrize(
    "verb",
    [("stats",), ("trace", _ID), ("key", "list"), ("key", "revoke", "x"), ("migrate",)],
)
def test_a_database_that_is_away_is_named(cli: Cli, verb: tuple[str, ...]) -> None:
    done = cli.run(*verb, env=_AWAY).ended(3)
    assert "the database cannot be reached — DATABASE_URL" in done.err
    assert "geheim" not in done.err


@pytest.mark.parametrize("verb", [("stats",), ("trace", _ID), ("key", "list")])
def test_a_database_without_our_schema(
    cli: Cli, template: str, tmp_path: Path, verb: tuple[str, ...]
) -> None:
    name = f"bare_{os.getpid()}_{verb[0]}"
    with psycopg.connect(template, autocommit=True) as owner:
        owner.execute(f"CREATE DATABASE {name}")
    try:
        url = template.rpartition("/")[0] + f"/{name}"
        done = cli.run(*verb, env={**_KEYS, "DATABASE_URL": url}).ended(3)
        assert "Run: pruuf migrate" in done.err
        sick = cli.run("doctor", env={**_KEYS, "DATABASE_URL": url}).ended(1)
        assert "✗ schema" in sick.out
    finally:
        with psycopg.connect(template, autocommit=True) as owner:
            owner.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _sees_everything(done: Done, *names: str) -> None:
    for name in names:
        assert f"  {name} is " in done.err
    assert done.err.count("accepted: ") == len(names)


@pytest.mark.parametrize("verb", ["relay", "up"])
def test_all_missing_settings_are_named_at_once(cli: Cli, verb: str) -> None:
    done = cli.run(verb, env=_AWAY).ended(2)
    names = ("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "TWILIO_FROM")
    _sees_everything(done, *names, "GOOGLE_APPLICATION_CREDENTIALS")


@pytest.mark.parametrize("verb", ["gateway", "dashboard", "stats", "doctor"])
def test_all_malformed_settings_are_named_at_once(cli: Cli, verb: str) -> None:
    (cli.folder / ".env").write_text("# ports\nPRUUF_PORT=http\nTWILIO_AUTH_TOKEN=geheim da\n")
    (cli.folder / ".env").chmod(0o600)
    done = cli.run(verb, env={**_KEYS, "PRUUF_HOST": "a b", "DATABASE_URL": "mysql://x"}).ended(2)
    _sees_everything(done, "DATABASE_URL", "PRUUF_HOST", "PRUUF_PORT", "TWILIO_AUTH_TOKEN")
    assert "(.env line 2)" in done.err
    assert "geheim" not in done.err


def test_a_database_given_without_keys(cli: Cli) -> None:
    done = cli.run("gateway", env={"DATABASE_URL": _NOWHERE}).ended(2)
    _sees_everything(done, "PRUUF_KEYS", "PRUUF_LOOKUP_KEYS")


def test_a_data_folder_that_is_a_file(cli: Cli) -> None:
    (cli.folder / "data").write_text("")
    for verb in (("stats",), ("demo", "--once"), ("simulate", "--print-env")):
        assert "PRUUF_DATA_DIR" in cli.run(*verb).ended(2).err


def test_output_that_nobody_reads(cli: Cli) -> None:
    with cli.started("simulate", "--print-env") as process:
        assert process.stdout is not None
        process.stdout.close()
        process.stdout = None
        process.wait(60)
        assert process.stderr is not None
        assert b"Traceback" not in process.stderr.read()


def test_a_terminal_that_cannot_show_a_character(cli: Cli) -> None:
    done = cli.run("trace", "evt-1", env={"PYTHONIOENCODING": "ascii"}).ended(1)
    assert done.err.startswith("? evt-1 is no id of ours")


def test_a_verb_that_is_stopped_while_it_waits(cli: Cli) -> None:
    with cli.started("send", "-", "--key", "k", "--url", "http://127.0.0.1:1") as process:
        assert process.stdin is not None
        process.stdin.write(b'{"id": "1"}\n')
        process.stdin.flush()
        assert process.stderr is not None
        assert b"waiting for the gateway" in process.stderr.readline()
        done = stopped(process, signal.SIGINT)
    assert done.ended(130).err.startswith("stopped after 0 events")
