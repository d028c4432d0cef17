"""Waits until a process that was started answers; finds ports for it."""

from __future__ import annotations

import http.client
import socket
import time
import urllib.request
from pathlib import Path

from gateway.cli.outcome import Exit
from gateway.cli.supervisor import Process

_READY_S = 60.0
# An HTTP_PROXY that is meant for the world outside must not stand between us and loopback.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class StackError(Exception):
    """A process does not come up; says which, and where its log is."""

    def __init__(self, what: str, *, port_taken: bool = False) -> None:
        """``port_taken``: somebody was faster; another port would do."""
        super().__init__(what)
        self.port_taken = port_taken


def free_port(wanted: int) -> int:
    """The wanted loopback port, or another one when it is taken."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            found: int = probe.getsockname()[1]
            return found
    msg = "no port is free on 127.0.0.1"
    raise StackError(msg)


def wait_until_answers(url: str, process: Process, log: Path | None = None) -> None:
    """Wait until the address answers with success; `StackError` when its process ends first."""
    look = "" if log is None else f"; its log: {log}"
    until = time.monotonic() + _READY_S
    while time.monotonic() < until:
        if process.poll() is not None:
            msg = f"{process.name} ended with exit code {process.poll()}{look}"
            raise StackError(msg, port_taken=process.poll() == Exit.UNREACHABLE)
        try:
            with _opener.open(url, timeout=2):
                return
        except (OSError, http.client.HTTPException):
            time.sleep(0.05)
    msg = f"{process.name} does not answer at {url}{look}"
    raise StackError(msg)


def get(url: str) -> bytes:
    """The body of an address of ours; `StackError` when it does not answer."""
    try:
        with _opener.open(url, timeout=30) as answer:
            content: bytes = answer.read()
            return content
    except (OSError, http.client.HTTPException) as error:
        msg = f"{url} does not answer ({type(error).__name__})"
        raise StackError(msg) from error
