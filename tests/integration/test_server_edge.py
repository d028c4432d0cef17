"""The edge of a real gateway: its headers, its limit of files, and a crowd of half requests."""

from __future__ import annotations

import http.client
import re
import resource
import socket
from contextlib import ExitStack
from pathlib import Path

from gateway.cli.ready import free_port
from outbox.simulators.environment import environment
from tests.integration.cli_process import KEY, Cli, answers, until

_HALF = 400
_SOFT = 512
"""What a shell allows by default is not much more, and most of it is kept for connections."""


def test_a_crowd_of_half_requests_keeps_nobody_out(tmp_path: Path, database_url: str) -> None:
    port = free_port(0)
    cli = Cli(
        tmp_path,
        DATABASE_URL=database_url,
        PRUUF_KEYS=KEY,
        PRUUF_LOOKUP_KEYS=KEY,
        PRUUF_PORT=str(port),
        **environment(base_url="http://127.0.0.1:9", folder=tmp_path / "simulator"),
    )
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, _SOFT), hard))
    with ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        process = stack.enter_context(cli.started("gateway"))
        url = f"http://127.0.0.1:{port}"
        until(lambda: process.poll() is not None or answers(f"{url}/healthz"), what=url)
        limits = Path(f"/proc/{process.pid}/limits").read_text(encoding="ascii")
        raised = re.search(r"^Max open files +(\d+)", limits, re.MULTILINE)
        assert raised is not None
        assert int(raised[1]) == min(hard, 65_536)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for _ in range(_HALF):
            half = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
            half.sendall(b"POST /v1/events HTTP/1.1\r\nHo")
        for path, status in (("/healthz", 200), ("/nothing", 404), ("/v1/notifications", 401)):
            answer, body = _get(port, path)
            assert answer.status == status
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert answer.headers["x-frame-options"] == "DENY"
            assert "server" not in answer.headers
        _, body = _get(port, "/metrics")
        counted = re.search(r"^pruuf_http_connections (\d+)", body, re.MULTILINE)
        assert counted is not None
        assert int(counted[1]) > _HALF


def _get(port: int, path: str) -> tuple[http.client.HTTPResponse, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer, body
