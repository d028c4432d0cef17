"""``trace``, ``stats``, ``doctor``, ``key``, ``migrate``, as a person and a program read them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from outbox.store import keys
from tests.browser.dashboard_rows import Rows, a_day
from tests.integration.cli_process import KEY, Cli


@pytest.fixture
def cli(tmp_path: Path, database_url: str) -> Cli:
    return Cli(tmp_path, DATABASE_URL=database_url, PRUUF_KEYS=KEY, PRUUF_LOOKUP_KEYS=KEY, TZ="UTC")


@pytest.fixture
def fell(database_url: str) -> UUID:
    """A missed check-in that was reached by push, on a day with some of everything."""
    with psycopg.connect(database_url) as connection:
        return a_day(Rows(connection))


def _lines(text: str) -> list[tuple[str, str]]:
    """Each line of a story: its time, and the rest with single blanks."""
    parted = (line.strip().partition("  ") for line in text.splitlines())
    return [(at, " ".join(rest.split())) for at, _, rest in parted if at[2:3] == ":"]


def test_a_trace_reads_as_a_story(cli: Cli, fell: UUID) -> None:
    told = cli.run("trace", str(fell)).ended(0).out
    title = next(line for line in told.splitlines() if line.strip())
    subject, _, ending = title.strip().partition("   ")
    assert subject.startswith("Missed check-in of m_")
    assert " → c_" in subject
    assert ending.strip() == "reached by push after 2.0 s"
    assert [rest for _, rest in _lines(told)] == [
        "accepted from backend (evt-8)",
        "SMS through Twilio accepted, 80 ms",
        "receipt: undelivered unknown handset (30005) → next: push",
        "push through FCM accepted, 80 ms → delivered, by the carrier's word",
    ]
    times = [at for at, _ in _lines(told)]
    assert times == sorted(times)
    assert all(len(line) <= 100 for line in told.splitlines() if "→" not in line)


def test_a_trace_of_an_event_tells_of_all_its_notifications(
    cli: Cli, fell: UUID, database_url: str
) -> None:
    with psycopg.connect(database_url) as connection:
        row = connection.execute("SELECT event FROM notification WHERE id = %s", (fell,)).fetchone()
    assert row is not None
    told = cli.run("trace", str(row[0])).ended(0).out
    assert told.startswith(" checkin.missed of m_8 from backend (evt-8), accepted ")
    assert "5 min ago" in told.splitlines()[0]
    assert str(fell) in told
    known = json.loads(cli.run("trace", row[0].hex, "--json").ended(0).out)
    assert known["event"]["id"] == "evt-8"
    assert [each["id"] for each in known["notifications"]] == [str(fell)]
    assert known["notifications"][0]["timeline"][0]["what"] == "accepted"


@pytest.mark.parametrize(
    ("state", "told_of"),
    [
        ("undeliverable", ("not reached after 2.0 s: no device", "push: no device → not reached")),
        ("parked", ("parked: credentials refused (Twilio 20003)", "accepted from backend")),
        ("cancelled", ("withdrawn", "accepted from backend")),
        ("open", ("awaiting receipt", "is looked at again, in ")),
    ],
)
def test_every_end_is_told(
    cli: Cli, fell: UUID, database_url: str, state: str, told_of: tuple[str, str]
) -> None:
    ending, line = told_of
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "SELECT n.id FROM notification n LEFT JOIN due d ON d.notification = n.id"
            " WHERE n.state = %s ORDER BY d.work DESC NULLS LAST LIMIT 1",
            (state,),
        ).fetchone()
    assert row is not None
    told = cli.run("trace", str(row[0])).ended(0).out
    assert ending in told
    assert any(line in f"{at} {rest}" for at, rest in _lines(told)), told


def test_what_a_backend_sends_cannot_steer_a_terminal(cli: Cli, database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        rows = Rows(connection)
        notification = rows.notification("checkin.missed", age_s=5)
        connection.execute("UPDATE event SET source = %s", ("a\x1b[2J\u202eb[bold]c",))
        connection.execute("UPDATE notification SET recipient = %s", ("\x1b]0;owned\x07",))
    told = cli.run("trace", str(notification)).ended(0).out
    assert "a\ufffd[2J\ufffdb[bold]c" in told


def test_an_id_that_nobody_knows(cli: Cli, fell: UUID) -> None:
    other = UUID(int=fell.int ^ (1 << 40))
    done = cli.run("trace", str(other)).ended(1)
    assert f"nothing is known of {other}" in done.err
    assert done.out == ""


def test_stats(cli: Cli, fell: UUID, database_url: str) -> None:
    shown = cli.run("stats").ended(0).out
    first, *rest = shown.splitlines()
    assert first.startswith("✗ the oldest due notification has waited for ")
    assert "1 is parked and waits for a person" in rest[0]
    rows = {line.split()[0]: line.split()[1:] for line in rest if line.split()}
    assert rows["transactional"][:2] == ["3", "1"]
    assert rows["transactional"][-2:] == ["1", "1"]
    assert "2 callbacks wait to be applied" in shown
    known = json.loads(cli.run("stats", "--json").ended(0).out)
    lanes = {lane["lane"]: lane for lane in known["lanes"]}
    assert lanes["transactional"]["depth"] == 3
    assert lanes["safety"]["depth"] == 0
    assert known["inbox_waiting"] == 2
    assert len(known["relays"]) == 1
    with psycopg.connect(database_url) as connection:
        connection.execute("DELETE FROM relay")
    alone = cli.run("stats").ended(0).out
    assert alone.startswith("✗ no relay is alive, nothing is delivered; 3 notifications wait.")


def test_keys(cli: Cli, database_url: str) -> None:
    assert "No keys yet" in cli.run("key", "list").ended(0).out
    made = cli.run("key", "create", "the [bold]app", "--scope", "events", "--scope", "read")
    secret = made.ended(0).out.strip()
    assert made.out == f"{secret}\n"
    assert secret not in made.err
    parsed = keys.parse(secret)
    assert parsed is not None
    other = json.loads(cli.run("key", "create", "ops", "--scope", "operate", "--json").ended(0).out)
    assert set(other) == {"id", "name", "scopes", "secret"}
    listed = json.loads(cli.run("key", "list", "--json").ended(0).out)
    assert [(key["id"], key["name"], key["scopes"]) for key in listed] == [
        (parsed[0], "the [bold]app", ["events", "read"]),
        (other["id"], "ops", ["operate"]),
    ]
    table = cli.run("key", "list").ended(0).out
    assert "the [bold]app" in table
    for word in (secret, other["secret"], "hash"):
        assert word not in table
    cli.run("key", "revoke", other["id"]).ended(0)
    assert cli.run("key", "revoke", "nobody").ended(1).err.startswith("✗ there is no key nobody")
    listed = json.loads(cli.run("key", "list", "--json").ended(0).out)
    assert [key["revoked_at"] is None for key in listed] == [True, False]


def test_migrate_says_where_it_is(cli: Cli) -> None:
    known = json.loads(cli.run("migrate", "--json").ended(0).out)
    assert cli.run("migrate").ended(0).out == (
        f"✓ the schema is at revision {known['revision']}, with its roles and partitions\n"
    )


def test_doctor_finds_what_is_missing_and_shows_no_secret(cli: Cli, fell: UUID) -> None:
    (cli.folder / ".env").write_text("TWILIO_AUTH_TOKEN=geheim-geheim\nPRUUF_PORT=8090\n")
    (cli.folder / ".env").chmod(0o640)
    done = cli.run("doctor").ended(1)
    lines = done.out.splitlines()
    marks = [line.split()[0] for line in lines[: lines.index("")] if line[1] in "✓✗"]
    assert marks == sorted(marks, reverse=True), "bad news come first"
    for words in ("✗ Twilio settings", "✗ FCM settings", "✗ ./.env", "✗ public address"):
        assert words in done.out
    for words in ("✓ schema", "✓ Postgres", "✓ clocks", "✓ line to Postgres"):
        assert words in done.out
    for words in ("✓ partitions", "✓ relays"):
        assert words in done.out
    assert "chmod 600 .env" in done.out
    assert "geheim" not in done.out
    assert KEY not in done.out
    known = json.loads(cli.run("doctor", "--json").ended(1).out)
    assert known["ok"] is False
    assert all(check["remedy"] for check in known["checks"] if not check["ok"])
    shown = known["settings"]
    assert shown["PRUUF_PORT"] == {"value": "8090", "source": ".env line 2"}
    assert shown["TWILIO_AUTH_TOKEN"] == {"value": "13 characters", "source": ".env line 1"}
    assert shown["PRUUF_DASHBOARD_PORT"] == {"value": "8501", "source": "default"}
    assert shown["FCM_API_BASE"] == {"value": "", "source": "unset"}
    assert shown["PRUUF_PUBLIC_URL"]["value"] == "http://127.0.0.1:8090"


def test_doctor_tells_of_a_clock_that_is_wrong(
    cli: Cli, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The database's clock is judged by a function of this schema that comes first.
    with psycopg.connect(database_url, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute("CREATE SCHEMA off")
        connection.execute(
            "CREATE FUNCTION off.clock_timestamp() RETURNS timestamptz LANGUAGE sql"
            " AS $$ SELECT pg_catalog.clock_timestamp() + interval '90 seconds' $$"
        )
        connection.execute("GRANT USAGE ON SCHEMA off TO PUBLIC")
        connection.execute(f"ALTER DATABASE {name} SET search_path = off, pg_catalog, public")
    done = cli.run("doctor").ended(1)
    assert "✗ clocks" in done.out
    assert "90 s between this machine and the database" in done.out


def test_a_verb_starts_the_embedded_postgres_and_stops_it(data_dir: Path, tmp_path: Path) -> None:
    folder = data_dir / f"verbs-{datetime.now(UTC):%H%M%S%f}"
    cli = Cli(tmp_path, PRUUF_DATA_DIR=str(folder))
    done = cli.run("key", "create", "app", "--scope", "events").ended(0)
    assert len(done.out.splitlines()) == 1
    assert "making the embedded database (once)" in done.err
    assert not (folder / "postgres" / "postmaster.pid").exists()
    again = cli.run("key", "list", "--json").ended(0)
    assert len(json.loads(again.out)) == 1
    assert "making" not in again.err
    assert not (folder / "postgres" / "postmaster.pid").exists()
