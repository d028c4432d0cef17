"""``pruuf demo``, whole: what it says became of each notification, and that it leaves nothing."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.integration import curl, demo_dump
from tests.integration.cli_process import Cli, Done, ended, processes_of, until

_HOSTILE = {
    "DATABASE_URL": "postgresql://somebody@127.0.0.1:1/production",
    "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
    "TWILIO_AUTH_TOKEN": "a-real-token",
    "TWILIO_API_BASE": "http://127.0.0.1:1",
    "PRUUF_PORT": "nonsense",
    "PRUUF_OPERATOR_WEBHOOK": "http://127.0.0.1:1/hook",
}
"""Settings of this machine that a demonstration must not even read."""


@pytest.fixture
def cli(tmp_path: Path, data_dir: Path) -> Iterator[Cli]:
    folder = data_dir / f"demo-{datetime.now(UTC):%H%M%S%f}"
    (tmp_path / ".env").write_text("TWILIO_FROM=nonsense\nFCM_API_BASE=nonsense\n")
    cli = Cli(tmp_path, PRUUF_DATA_DIR=str(folder), **_HOSTILE)
    yield cli
    assert processes_of(folder) == {}
    assert not list(folder.rglob("postmaster.pid"))


def _until_said(process: subprocess.Popen[bytes], words: bytes) -> list[str]:
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line.decode())
        if words in line:
            return said
    pytest.fail(f"it ended without {words!r}: {said}")


def _judged(result: dict[str, Any]) -> None:
    assert result["ok"] is True
    assert (result["lost"], result["surprises"]) == (0, [])
    kinds = {kind["kind"]: kind for kind in result["kinds"]}
    missed = kinds["checkin.missed"]
    assert missed["sent"] == missed["by_sms"] + missed["by_push"] + missed["not_reached"]
    assert missed["not_reached"] == 1
    assert result["events"] == 2005
    assert result["notifications"] == sum(kind["sent"] for kind in kinds.values())
    assert kinds["checkin.confirmed"]["by_push"] == 5
    assert kinds["member.invited"]["by_sms"] == 6
    assert sum(result["fell_back"].values()) == missed["by_push"] + 5
    assert list(result["fell_back"]) == ["undelivered (30005)", "no receipt within 60 s"]
    assert result["operator_told"] == 1


def _quick_start(gateway: str, key: str) -> list[Any]:
    """What the README invites to, as it stands there."""
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    block = readme.partition("```sh\n")[2].partition("```")[0]
    block = block.replace("$KEY", key).replace("$URL", gateway)
    commands = ["curl" + each for each in re.split(r"^curl", block, flags=re.MULTILINE)[1:]]
    return [curl.run(command) for command in commands]


def test_a_day_in_json_beside_another_demonstration(cli: Cli) -> None:
    with cli.started("demo") as shown:
        _until_said(shown, b"gateway, relay and dashboard")
        beside = cli.run("demo", "--once", "--json", within_s=240).ended(0)
        result = json.loads(beside.out)
        _judged(result)
        assert result["curl"] is None
        _until_said(shown, b"Ctrl-C ends everything")
        _tries(cli, shown)
        shown.send_signal(signal.SIGINT)
        done = ended(shown)
        done.ended(0)
    assert "nothing of the demonstration is left running" in done.err


@pytest.mark.parametrize(
    "leak",
    [
        b"0\t01a2\t+12025550123\t\\N",
        b'{"to": "12025550123"}',
        b"\\\\x00" + b"+12025550123 ".hex().encode() + b"ff",
        b"token-of-somebody",
        b"Alice",
        b"Contact a17",
        b"K7-2291",
        b"Pruuf alert: Dan missed the check-in",
        b"Pruuf alert: Dan missed the check-in".hex().encode(),
    ],
)
def test_a_leak_would_be_found_in_a_dump(leak: bytes) -> None:
    text = "Pruuf alert: Dan missed the check-in due 08:30. Code K7-2291"
    sent = [("+12025550123", text), ("token-of-somebody", text)]
    assert demo_dump.found(b"0\t01a2\tcheckin.missed\t\\\\x9f3c", sent) == set()
    assert demo_dump.found(b"\n".join((b"0\t01a2", leak, b"1")), sent)


def _tries(cli: Cli, shown: subprocess.Popen[bytes]) -> None:
    """Read what is on the screen so far, and do what it invites to."""
    assert shown.stdout is not None
    lines: list[str] = []
    while not lines or "Its story:" not in lines[-1]:
        lines.append(shown.stdout.readline().decode())
    text = "".join(lines)
    assert re.search(r"A day at Pruuf — 2,005 events, 2,006 notifications, 0 lost +\d+\.\d s", text)
    assert "Fell back to push: 26 undelivered (30005), 8 no receipt within 60 s" in text
    assert re.search(
        r"Not reached: Hana \(c_\w+\) has no working number and no device → undeliverable,"
        r" operator told",
        text,
    )
    for name, path in (("Dashboard", ""), ("API", "/schema"), ("Metrics", "/metrics")):
        assert re.search(rf" {name} +http://127\.0\.0\.1:\d+{path}$", text, re.MULTILINE)
    command = text[text.index("curl ") : text.index("Its story:")]
    answers = [curl.run(command), curl.run(command)]
    assert [answer["duplicate"] for answer in answers] == [False, True]
    (notification,) = answers[0]["notifications"]
    named = re.search(r"PRUUF_DATA_DIR=(\S+) ", text)
    assert named is not None
    elsewhere = cli.folder / "elsewhere"
    elsewhere.mkdir()
    reader = Cli(elsewhere, PRUUF_DATA_DIR=named[1])
    address, key = re.search(r" API +(\S+)/schema", text), re.search(r"Bearer (\w+)", command)
    assert address is not None
    assert key is not None
    *_, listed = _quick_start(address[1], key[1])
    (by_hand,) = listed["items"]

    def by_push() -> bool:
        return "reached by push" in reader.run("trace", by_hand["id"]).out

    until(by_push, what="the push of the quick start")

    def story() -> Done:
        return reader.run("trace", notification["id"])

    until(lambda: "reached by SMS after" in story().out, what="the story of what was tried")
    assert "Missed check-in of m_try_" in story().ended(0).out
    # Whoever has the keys reads it; whoever has the database alone does not.
    assert demo_dump.in_clear(Path(named[1])) == set()


@pytest.mark.parametrize(
    ("words", "number", "code"),
    [
        (b"making the embedded database", signal.SIGINT, 130),
        (b"starting the embedded database", signal.SIGTERM, 143),
        (b"simulators of Twilio", signal.SIGINT, 130),
        (b"gateway, relay and dashboard", signal.SIGHUP, 129),
        (b"Alice checks in", signal.SIGINT, 130),
        (b"Ivan misses", signal.SIGTERM, 143),
    ],
)
def test_a_demonstration_that_is_stopped_leaves_nothing(
    cli: Cli, words: bytes, number: int, code: int
) -> None:
    with cli.started("demo", "--once") as process:
        _until_said(process, words)
        process.send_signal(number)
        done = ended(process).ended(code)
    assert "nothing of the demonstration is left running" in done.err
    assert done.out == ""


@pytest.mark.newest
def test_a_demonstration_that_is_killed_is_cleared_away_by_the_next(cli: Cli) -> None:
    folder = Path(cli.environ["PRUUF_DATA_DIR"])
    with cli.started("demo", "--once") as process:
        _until_said(process, b"Alice checks in")
        process.kill()
        process.communicate(timeout=60)
        until(lambda: len(processes_of(folder)) <= 1, what="the end of the children")
    assert list(folder.rglob("postmaster.pid")), "the server should be left"
    with cli.started("demo", "--once") as process:
        _until_said(process, b"Alice checks in")
        process.send_signal(signal.SIGINT)
        ended(process).ended(130)
