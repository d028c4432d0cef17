"""``pruuf send`` against a real gateway: streams, refuses line by line, and repeats nothing."""

from __future__ import annotations

import contextlib
import http.server
import json
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from gateway.cli.ready import free_port
from outbox.store import keys
from outbox.store.connect import owner_engine
from outbox.store.keys import Scope
from tests.integration.cli_process import KEY, Cli, answers, ended, stopped, until


def _event(number: int, **changed: Any) -> dict[str, Any]:  # noqa: ANN401 - fields of an event
    return {
        "specversion": "1.0",
        "id": f"e{number}",
        "source": "test",
        "type": "checkin.confirmed",
        "time": "2026-01-01T09:00:00Z",
        "subject": f"m_{number}",
        "data": {
            "member": {"id": f"m_{number}", "name": "Alice", "phone": "+12025550123"},
            "contacts": [{"id": f"c_{number}", "name": "Bob", "phone": "+12025550124"}],
            "at": "2026-01-01T08:59:00Z",
        },
        **changed,
    }


def _ndjson(*events: object) -> bytes:
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


class Gateway(Cli):
    """A gateway that listens, and what is needed to post to it."""

    def __init__(self, folder: Path, database_url: str) -> None:
        super().__init__(
            folder,
            DATABASE_URL=database_url,
            PRUUF_KEYS=KEY,
            PRUUF_LOOKUP_KEYS=KEY,
            PRUUF_PORT=str(free_port(0)),
        )
        self.database_url = database_url
        self.environ["PRUUF_URL"] = f"http://127.0.0.1:{self.environ['PRUUF_PORT']}"
        self.environ["PRUUF_API_KEY"] = self.key(Scope.EVENTS)

    def key(self, *scopes: Scope) -> str:
        with owner_engine(self.database_url).begin() as connection:
            return keys.create(connection, name="test", scopes=scopes).secret

    def stored(self) -> int:
        with psycopg.connect(self.database_url) as connection:
            row = connection.execute("SELECT count(*) FROM event").fetchone()
        return int(row[0]) if row else 0

    def has_stored(self, number: int) -> bool:
        return self.stored() == number

    @contextlib.contextmanager
    def listening(self) -> Iterator[subprocess.Popen[bytes]]:
        with self.started("gateway") as process:
            url = f"{self.environ['PRUUF_URL']}/readyz"
            until(lambda: process.poll() is not None or answers(url), what="the gateway")
            yield process


@pytest.fixture
def gateway(tmp_path: Path, database_url: str) -> Gateway:
    return Gateway(tmp_path, database_url)


def test_a_file_is_posted_once_however_often_it_is_sent(gateway: Gateway) -> None:
    (gateway.folder / "day.ndjson").write_bytes(_ndjson(*(_event(n) for n in range(250))))
    with gateway.listening():
        first = gateway.run("send", "day.ndjson").ended(0)
        again = json.loads(gateway.run("send", "day.ndjson", "--json").ended(0).out)
    assert first.out == "✓ 250 accepted, 0 were there already, 0 refused → 250 notifications\n"
    assert (again["accepted"], again["duplicate"]) == (0, 250)
    assert gateway.stored() == 250


def test_each_bad_line_is_named_and_the_others_are_accepted(gateway: Gateway) -> None:
    lines = [
        b"\xef\xbb\xbf" + _ndjson(_event(1)),
        b"\r\n",
        b'{"id": "cut off\n',
        b'{"a": 1}, {"b": 2}\n',
        b"[]\n",
        b'{"name": "\xff"}\n',
        b"[" * 100_000 + b"\n",
        b"x" * (1024 * 1024 + 1) + b"\n",
        _ndjson(_event(2, type="checkin.forgotten")),
        _ndjson(_event(1, subject="m_9")),
        _ndjson(_event(3)).replace(b"\n", b"\r\n"),
        _ndjson(_event(4))[:-1],
    ]
    with gateway.listening():
        done = gateway.run("send", "-", "--json", stdin=b"".join(lines)).ended(1)
        told = gateway.run("send", "-", stdin=b"".join(lines)).ended(1)
    known = json.loads(done.out)
    assert known["accepted"] == 3
    assert known["refused_in_all"] == 8
    why = {refused["line"]: refused["reason"] for refused in known["refused"]}
    assert sorted(why) == [3, 4, 5, 6, 7, 8, 9, 10]
    assert "is no JSON" in why[3]
    assert "is no JSON" in why[4]
    assert "one event a line" in why[5]
    assert "nested too deeply" in why[7] or "is no JSON" in why[7]
    assert "longer than 1 MiB" in why[8]
    assert "$.type" in why[9]
    assert told.out.startswith("✗ 0 accepted, 3 were there already, 8 refused")
    assert "line 9: $.type" in told.err


def test_a_pipe_is_not_held_back_until_it_ends(gateway: Gateway) -> None:
    with gateway.listening(), gateway.started("send", "-") as sending:
        assert sending.stdin is not None
        for number in (1, 2):
            sending.stdin.write(_ndjson(_event(number)))
            sending.stdin.flush()
            until(partial(gateway.has_stored, number), what="an event of an open pipe")
        done = ended(sending)
    assert done.ended(0).out.startswith("✓ 2 accepted")


def test_events_too_large_for_one_body_go_in_several(gateway: Gateway) -> None:
    name = "n" * 80
    contacts = [
        {"id": f"c_{n}", "name": name, "phone": f"+1202555{n:04d}"} for n in range(100, 200)
    ]
    member = {"id": "m_1", "name": name, "phone": "+12025550123"}
    data = {"member": member, "contacts": contacts, "at": "2026-01-01T08:59:00Z"}
    large = [_event(n, subject="m_1", data=data) for n in range(120)]
    assert len(_ndjson(*large)) > 1.2 * 1024 * 1024
    with gateway.listening():
        known = json.loads(gateway.run("send", "-", "--json", stdin=_ndjson(*large)).ended(0).out)
    assert (known["accepted"], known["notifications"]) == (120, 12_000)


def test_a_gateway_that_comes_late_is_waited_for(gateway: Gateway) -> None:
    with gateway.started("send", "-") as sending:
        assert sending.stdin is not None
        assert sending.stderr is not None
        sending.stdin.write(_ndjson(_event(1)))
        sending.stdin.close()
        sending.stdin = None
        assert b"waiting for the gateway: no connection" in sending.stderr.readline()
        with gateway.listening():
            done = ended(sending)
    assert done.ended(0).out.startswith("✓ 1 accepted")


def test_a_stop_in_the_middle_says_how_to_go_on(gateway: Gateway) -> None:
    with gateway.listening(), gateway.started("send", "-") as sending:
        assert sending.stdin is not None
        sending.stdin.write(_ndjson(_event(1)))
        sending.stdin.flush()
        until(lambda: gateway.stored() == 1, what="the first event")
        done = stopped(sending)
    assert "stopped after 1 events" in done.ended(143).err
    assert "run the same command again" in done.err


@pytest.mark.parametrize("scopes", [(), (Scope.READ,)])
def test_a_key_that_may_not(gateway: Gateway, scopes: tuple[Scope, ...]) -> None:
    key = gateway.key(*scopes) if scopes else f"pruuf_unknown_{'0' * 64}"
    with gateway.listening():
        done = gateway.run("send", "-", "--key", key, stdin=_ndjson(_event(1))).ended(2)
    assert "--key or PRUUF_API_KEY" in done.err
    assert key not in done.err
    assert gateway.stored() == 0


def test_something_else_that_answers(gateway: Gateway) -> None:
    class Page(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(int(self.path.split("/")[1]))
            self.send_header("Content-Length", "6")
            self.end_headers()
            self.wfile.write(b"<html>")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as it is named there
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for status in (200, 202, 302, 404, 413):
        url = f"http://127.0.0.1:{server.server_port}/{status}"
        done = gateway.run("send", "-", "--url", url, stdin=_ndjson(_event(1))).ended(3)
        assert "answers, but not as a gateway does" in done.err
        assert "--url or PRUUF_URL" in done.err
    url = f"http://127.0.0.1:{server.server_port}/502"
    done = gateway.run(
        "send", "-", "--url", url, "--patience-s", "1", stdin=_ndjson(_event(1))
    ).ended(3)
    assert "did not accept for" in done.err
    server.shutdown()
    server.server_close()
