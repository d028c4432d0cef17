"""A gateway that is told to end takes leave: who keeps a connection open hears it in an answer."""

from __future__ import annotations

import http.client
import signal
from pathlib import Path

from gateway.cli.ready import free_port
from outbox.simulators.environment import environment
from tests.integration.cli_process import KEY, Cli, answers, ended, until


def test_whoever_asks_on_an_open_connection_is_answered_and_told_to_go_elsewhere(
    tmp_path: Path, database_url: str
) -> None:
    port = free_port(0)
    cli = Cli(
        tmp_path,
        DATABASE_URL=database_url,
        PRUUF_KEYS=KEY,
        PRUUF_LOOKUP_KEYS=KEY,
        PRUUF_PORT=str(port),
        **environment(base_url="http://127.0.0.1:9", folder=tmp_path / "simulator"),
    )
    with cli.started("gateway") as process:
        url = f"http://127.0.0.1:{port}/healthz"
        until(lambda: process.poll() is not None or answers(url), what=url)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        assert _asked(connection) is None
        process.send_signal(signal.SIGTERM)
        # Until the signal is heard it is as ever; then one answer is the last.
        while _asked(connection) != "close":
            pass
        connection.close()
        ended(process).ended(0)


def _asked(connection: http.client.HTTPConnection) -> str | None:
    """What an answer says of its connection."""
    connection.request("GET", "/healthz")
    answer = connection.getresponse()
    assert answer.status == 200
    answer.read()
    return answer.headers.get("connection")
