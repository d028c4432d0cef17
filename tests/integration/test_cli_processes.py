"""The processes from outside: SIGTERM ends them in order, what hinders their start is named."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from gateway.cli.ready import free_port
from outbox.simulators.environment import environment
from tests.integration.cli_process import KEY, Cli, Done, answers, processes_of, stopped, until

_PORTS = ("PRUUF_PORT", "PRUUF_DASHBOARD_PORT", "PRUUF_RELAY_METRICS_PORT")
_READY = {
    "gateway": ("PRUUF_PORT", "/readyz"),
    "relay": ("PRUUF_RELAY_METRICS_PORT", "/metrics"),
    "dashboard": ("PRUUF_DASHBOARD_PORT", "/_stcore/health"),
}


@pytest.fixture
def cli(tmp_path: Path, database_url: str) -> Cli:
    """Everything is set; the providers are simulated, and not there."""
    providers = environment(base_url="http://127.0.0.1:9", folder=tmp_path / "simulator")
    ports = {name: str(free_port(0)) for name in _PORTS}
    return Cli(
        tmp_path,
        DATABASE_URL=database_url,
        PRUUF_KEYS=KEY,
        PRUUF_LOOKUP_KEYS=KEY,
        **ports,
        **providers,
    )


def _url(cli: Cli, verb: str) -> str:
    port, path = _READY[verb]
    return f"http://127.0.0.1:{cli.environ[port]}{path}"


@contextmanager
def _running(cli: Cli, *arguments: str, url: str) -> Iterator[subprocess.Popen[bytes]]:
    with cli.started(*arguments) as process:
        until(lambda: process.poll() is not None or answers(url), what=url)
        yield process


@contextmanager
def _taken(port: str) -> Iterator[None]:
    with socket.create_server(("127.0.0.1", int(port))):
        yield


@pytest.mark.parametrize("verb", ["gateway", "relay", "dashboard"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_process_ends_in_order(cli: Cli, verb: str, number: int) -> None:
    with _running(cli, verb, url=_url(cli, verb)) as process:
        stopped(process, number).ended(0)
    assert processes_of(cli.folder) == {}


@pytest.mark.parametrize("verb", ["gateway", "relay", "dashboard"])
def test_a_process_whose_reader_is_gone_ends_too(cli: Cli, verb: str) -> None:
    with _running(cli, verb, url=_url(cli, verb)) as process:
        _stop_reading(process)
        process.terminate()
        assert process.wait(60) == 0
    assert processes_of(cli.folder) == {}


@pytest.mark.parametrize("verb", ["gateway", "relay"])
def test_a_process_that_nobody_reads_from_the_start_works(cli: Cli, verb: str) -> None:
    url = _url(cli, verb)
    with cli.started(verb) as process:
        _stop_reading(process)
        until(lambda: process.poll() is not None or answers(url), what=url)
        process.terminate()
        assert process.wait(60) == 0


def _stop_reading(process: subprocess.Popen[bytes]) -> None:
    for stream in (process.stdout, process.stderr):
        assert stream is not None
        stream.close()
    process.stdout = process.stderr = None


def test_simulators_end_in_order_and_keep_their_ledger(cli: Cli) -> None:
    port = str(free_port(0))
    arguments = ("simulate", "--port", port)
    with _running(cli, *arguments, url=f"http://127.0.0.1:{port}/_sim/health") as process:
        done = stopped(process).ended(0)
    assert f"simulators on http://127.0.0.1:{port}" in done.err
    assert (cli.folder / "data" / "simulator" / "ledger.sqlite").exists()


def test_the_printed_settings_are_enough_for_a_relay(cli: Cli) -> None:
    port = str(free_port(0))
    printed = cli.run("simulate", "--port", port, "--print-env").ended(0).out
    for name in [name for name in cli.environ if name.startswith(("TWILIO_", "FCM_", "GOOGLE_"))]:
        del cli.environ[name]
    (cli.folder / ".env").write_text(printed)
    (cli.folder / ".env").chmod(0o600)
    simulated = f"http://127.0.0.1:{port}"
    with (
        _running(cli, "simulate", "--port", port, url=f"{simulated}/_sim/health"),
        _running(cli, "relay", url=_url(cli, "relay")),
    ):
        told = cli.run("doctor").out
    for words in ("✓ Twilio credentials", "✓ FCM credentials", "✓ relays", "✓ ./.env"):
        assert words in told, told


@pytest.mark.parametrize("verb", ["gateway", "relay", "dashboard"])
def test_a_port_that_is_taken_is_named_by_its_setting(cli: Cli, verb: str) -> None:
    name, _ = _READY[verb]
    with _taken(cli.environ[name]):
        assert name in cli.run(verb).ended(3).err
        if verb != "relay":
            return
        assert name in cli.run("up").ended(3).err


def test_a_port_of_the_simulators_that_is_taken(cli: Cli) -> None:
    port = str(free_port(0))
    with _taken(port):
        assert "--port" in cli.run("simulate", "--port", port).ended(3).err


@pytest.mark.parametrize("verb", ["gateway", "relay", "up"])
def test_an_address_of_another_machine_is_named_by_its_setting(cli: Cli, verb: str) -> None:
    done = cli.run(verb, env={"PRUUF_HOST": "192.0.2.1"}).ended(3)
    assert "PRUUF_HOST" in done.err


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::"])
def test_a_dashboard_without_sign_in_listens_on_loopback_only(cli: Cli, host: str) -> None:
    done = cli.run("dashboard", env={"PRUUF_HOST": host}).ended(2)
    assert "loopback only" in done.err
    assert "PRUUF_HOST" in done.err


def test_a_gateway_and_a_relay_wait_for_a_database_that_is_away(cli: Cli) -> None:
    nowhere = {"DATABASE_URL": "postgresql://x@127.0.0.1:1/x"}
    cli.environ |= nowhere
    alive = _url(cli, "gateway").replace("readyz", "healthz")
    with _running(cli, "gateway", url=alive) as process:
        assert not answers(_url(cli, "gateway"))
        assert stopped(process).code == 0
    with _running(cli, "relay", url=_url(cli, "relay")) as process:
        assert stopped(process).code == 0


@contextmanager
def _up(cli: Cli) -> Iterator[subprocess.Popen[bytes]]:
    with cli.started("up") as process:
        assert process.stdout is not None
        for line in process.stdout:
            if b"Ctrl-C" in line:
                break
        yield process


def test_up_runs_all_three_and_ends_them(cli: Cli, database_url: str) -> None:
    with _up(cli) as process:
        for verb in _READY:
            assert answers(_url(cli, verb)), verb
        assert len(processes_of(cli.folder)) >= 4
        with psycopg.connect(database_url) as connection:
            row = connection.execute("SELECT count(*) FROM relay").fetchone()
        assert row == (1,)
        stopped(process).ended(0)
    assert processes_of(cli.folder) == {}


def test_up_ends_when_one_of_the_three_does(cli: Cli) -> None:
    with _up(cli) as process:
        relay = [pid for pid, command in processes_of(cli.folder).items() if " relay" in command]
        os.kill(relay[0], signal.SIGKILL)
        out, err = process.communicate(timeout=60)
        done = Done(process.returncode, out.decode(), err.decode())
    assert "✗ relay ended by itself with signal 9" in done.ended(1).err
    assert processes_of(cli.folder) == {}


def test_up_that_is_killed_takes_all_three_with_it(cli: Cli) -> None:
    with _up(cli) as process:
        process.kill()
        process.communicate(timeout=60)
        until(lambda: processes_of(cli.folder) == {}, what="the end of the three")


def test_up_on_the_embedded_postgres_leaves_nothing_behind(
    cli: Cli, data_dir: Path, tmp_path: Path
) -> None:
    folder = data_dir / f"up-{datetime.now(UTC):%H%M%S%f}"
    for name in ("DATABASE_URL", "PRUUF_KEYS", "PRUUF_LOOKUP_KEYS"):
        del cli.environ[name]
    cli.environ["PRUUF_DATA_DIR"] = str(folder)
    with _up(cli) as process:
        with urllib.request.urlopen(_url(cli, "gateway"), timeout=5) as answer:
            assert answer.status == 200
        # Another verb uses the same server, and leaves it alone.
        assert "nothing is waiting" in cli.run("stats").ended(0).out
        assert answers(_url(cli, "gateway"))
        stopped(process).ended(0)
    assert processes_of(folder) == {}
    assert not (folder / "postgres" / "postmaster.pid").exists()


@pytest.mark.parametrize("verb", ["gateway", "up"])
def test_a_process_that_is_stopped_while_it_starts(cli: Cli, data_dir: Path, verb: str) -> None:
    folder = data_dir / f"early-{datetime.now(UTC):%H%M%S%f}"
    for name in ("DATABASE_URL", "PRUUF_KEYS", "PRUUF_LOOKUP_KEYS"):
        del cli.environ[name]
    cli.environ["PRUUF_DATA_DIR"] = str(folder)
    with cli.started(verb) as process:
        assert process.stderr is not None
        assert b"making the embedded database" in process.stderr.readline()
        stopped(process).ended(0)
    assert processes_of(folder) == {}
