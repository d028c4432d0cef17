"""The embedded Postgres with several users, and with ports that somebody takes."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import pytest

from outbox.store.embedded import EmbeddedPostgres
from outbox.store.postgres_process import free_port, port_of
from tests.integration.embedded.others import Start, ask

_ROOT = Path(__file__).parents[3]


def test_the_last_one_to_leave_stops_it(server: EmbeddedPostgres, home: Path, start: Start) -> None:
    other = start(home)
    assert other.told()["started"]
    assert not server.ensure()[1]
    assert other.end() == 0
    assert ask(server.url(), "SELECT count(*) FROM kept") == 1
    server.leave()
    assert not server.running()


def test_who_only_joined_does_not_stop_it(
    server: EmbeddedPostgres,
    home: Path,
    start: Start,
) -> None:
    server.ensure()
    other = start(home)
    assert not other.told()["started"]
    assert other.end() == 0
    assert server.running()
    server.leave()
    assert not server.running()


def test_a_killed_user_keeps_no_server(server: EmbeddedPostgres, home: Path, start: Start) -> None:
    server.ensure()
    other = start(home)
    other.told()
    other.process.kill()
    assert other.end() == -signal.SIGKILL
    server.leave()
    assert not server.running()


def test_a_server_of_a_killed_starter_is_not_ours_to_stop(
    server: EmbeddedPostgres,
    home: Path,
    start: Start,
) -> None:
    other = start(home)
    other.told()
    other.process.kill()
    assert other.end() == -signal.SIGKILL
    assert not server.ensure()[1]
    server.leave()
    assert server.running()
    server.crash()


def test_a_port_that_somebody_took(server: EmbeddedPostgres, home: Path) -> None:
    server.ensure()
    port = port_of(home / "postgres")
    server.stop()
    with socket.create_server(("127.0.0.1", port)):
        url, _ = server.ensure()
        assert port_of(home / "postgres") != port
        assert ask(url, "SELECT 1") == 1
    server.crash()


def test_a_port_that_somebody_takes_between_look_and_start(
    server: EmbeddedPostgres,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        looks = [port]
        look = "outbox.store.embedded.free_port"
        monkeypatch.setattr(look, lambda n: looks.pop() if looks else free_port(n))
        server.ensure()
        assert looks == []
        assert port_of(home / "postgres") != port
    server.crash()


def test_half_a_cluster_is_made_again_whole(server: EmbeddedPostgres, home: Path) -> None:
    half = home / ".initial-1" / "postgres"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    url, _ = server.ensure()
    assert ask(url, "SELECT 1") == 1
    assert not half.exists()
    server.crash()
