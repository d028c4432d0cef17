"""Starts the demonstration's processes: simulators, gateway, relay, dashboard."""

from __future__ import annotations

import os
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from gateway.cli.supervisor import Child, Process, Supervisor
from outbox.keyfile import printed_keys
from outbox.settings import NAMES, Settings
from outbox.simulators.environment import environment

_READY_S = 60.0


class StackError(Exception):
    """A process of the demonstration does not come up; says which, and where its log is."""


class Addresses(Struct, frozen=True, kw_only=True):
    """Where everything answers."""

    gateway: str
    dashboard: str
    simulators: str
    relay_metrics: str


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
    msg = "no free port on 127.0.0.1"
    raise StackError(msg)


def wait_until_answers(url: str, process: Process, log: Path) -> None:
    """Wait until the address answers with success; `StackError` when its process ends first."""
    until = time.monotonic() + _READY_S
    while time.monotonic() < until:
        if process.poll() is not None:
            msg = f"{process.name} ended with exit code {process.poll()}; its log: {log}"
            raise StackError(msg)
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - an address of ours
                return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.05)
    msg = f"{process.name} does not answer at {url}; its log: {log}"
    raise StackError(msg)


class Stack:
    """The processes of one demonstration; ends with its supervisor."""

    def __init__(self, settings: Settings, folder: Path, children: Supervisor) -> None:
        """``settings`` hold the demonstration's own database and keys."""
        self._children = children
        self._folder = folder
        self._logs = folder / "logs"
        self._logs.mkdir(parents=True, exist_ok=True)
        ports = [free_port(wanted) for wanted in (9900, 8080, 8501, 9464)]
        simulators, gateway, dashboard, metrics = (f"http://127.0.0.1:{port}" for port in ports)
        self.addresses = Addresses(
            gateway=gateway,
            dashboard=dashboard,
            simulators=simulators,
            relay_metrics=metrics,
        )
        self._simulator_port = ports[0]
        # Nothing of the surrounding settings gets in: a demonstration must never text anybody.
        clean = {name: value for name, value in os.environ.items() if name not in NAMES}
        self.environ = {
            **clean,
            **environment(base_url=simulators, folder=folder / "simulator"),
            "DATABASE_URL": settings.require_database(),
            "PRUUF_DATA_DIR": str(folder),
            "PRUUF_KEYS": printed_keys(settings.keys),
            "PRUUF_LOOKUP_KEYS": printed_keys(settings.lookup_keys),
            "PRUUF_PORT": str(ports[1]),
            "PRUUF_PUBLIC_URL": gateway,
            "PRUUF_DASHBOARD_PORT": str(ports[2]),
            "PRUUF_RELAY_METRICS_PORT": str(ports[3]),
            "PRUUF_OPERATOR_WEBHOOK": f"{simulators}/_sim/operator",
        }

    def start(self, say: Callable[[str], None]) -> None:
        """Start everything, each as soon as what it needs answers."""
        at = self.addresses
        say("simulators of Twilio and FCM")
        port, callback = str(self._simulator_port), at.gateway
        simulators = self._verb("simulate", "--port", port, "--callback", callback)
        self._wait(simulators, f"{at.simulators}/_sim/health")
        say("gateway, relay and dashboard")
        gateway, relay = self._verb("gateway"), self._verb("relay")
        dashboard = self._start("dashboard", [sys.executable, "-m", "dashboard"])
        self._wait(gateway, f"{at.gateway}/healthz")
        self._wait(relay, f"{at.relay_metrics}/metrics")
        self._wait(gateway, f"{at.gateway}/readyz")
        self._wait(dashboard, f"{at.dashboard}/_stcore/health")

    def _verb(self, verb: str, *arguments: str) -> Process:
        return self._start(verb, [sys.executable, "-m", "gateway.cli.main", verb, *arguments])

    def _start(self, name: str, command: list[str]) -> Process:
        log = str(self._logs / f"{name}.log")
        child = Child(
            name=name,
            command=command,
            environ=self.environ,
            cwd=str(self._folder),
            log=log,
        )
        return self._children.start(child)

    def _wait(self, process: Process, url: str) -> None:
        wait_until_answers(url, process, self._logs / f"{process.name}.log")
