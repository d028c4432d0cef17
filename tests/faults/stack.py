"""Real processes against a real Postgres, with the simulator's ledger as the judge."""

from __future__ import annotations

import json
import os
import secrets
import sys
import time
import urllib.error
import urllib.request
from base64 import urlsafe_b64encode
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg

from gateway.cli.supervisor import Child, Process, Supervisor
from gateway.demo.stack import free_port, wait_until_answers
from outbox.settings import NAMES
from outbox.simulators.environment import environment
from outbox.simulators.twilio_messages import SENDERS
from outbox.store import keys
from outbox.store.connect import owner_engine
from outbox.store.keys import Scope


class Stack:
    """Simulators, a gateway and relays of one test."""

    def __init__(self, folder: Path, database_url: str, children: Supervisor) -> None:
        """Nothing runs yet."""
        self.folder = folder
        self.database_url = database_url
        self._children = children
        self.module = "gateway.cli.main"
        """Runs the verbs."""
        self._simulator_port = free_port(0)
        self._gateway_port = free_port(0)
        self.simulators = f"http://127.0.0.1:{self._simulator_port}"
        self.gateway = f"http://127.0.0.1:{self._gateway_port}"
        clean = {name: value for name, value in os.environ.items() if name not in NAMES}
        self.environ = {
            **clean,
            **environment(base_url=self.simulators, folder=folder / "simulator"),
            "DATABASE_URL": database_url,
            "PRUUF_DATA_DIR": str(folder),
            "PRUUF_KEYS": urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "PRUUF_LOOKUP_KEYS": urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "PRUUF_PORT": str(self._gateway_port),
            "PRUUF_PUBLIC_URL": self.gateway,
            "PRUUF_OPERATOR_WEBHOOK": f"{self.simulators}/_sim/operator",
        }
        with owner_engine(database_url).begin() as connection:
            self.key = keys.create(connection, name="test", scopes=list(Scope)).secret

    def start(self, name: str, *arguments: str, metrics_port: int = 0) -> Process:
        """Start one verb; its log is ``<name>.log``."""
        return self._children.start(
            Child(
                name=name,
                command=[sys.executable, "-m", self.module, *(arguments or (name,))],
                environ={**self.environ, "PRUUF_RELAY_METRICS_PORT": str(metrics_port)},
                cwd=str(self.folder),
                log=str(self.folder / f"{name}.log"),
            ),
        )

    def start_edge(self) -> list[Process]:
        """Simulators and gateway, ready to accept."""
        simulators = self.start_simulators()
        gateway = self.start_gateway()
        wait_until_answers(f"{self.simulators}/_sim/health", simulators, self.folder)
        return [simulators, gateway]

    def start_simulators(self) -> Process:
        """The providers; they answer in a moment."""
        return self.start(
            "simulate",
            "simulate",
            "--port",
            str(self._simulator_port),
            "--callback",
            self.gateway,
        )

    def start_gateway(self) -> Process:
        """A gateway, ready to accept."""
        gateway = self.start("gateway")
        wait_until_answers(f"{self.gateway}/readyz", gateway, self.folder)
        return gateway

    def start_relay(self, name: str) -> Process:
        """A relay that answers on its metrics port."""
        port = free_port(0)
        relay = self.start(name, "relay", metrics_port=port)
        wait_until_answers(f"http://127.0.0.1:{port}/metrics", relay, self.folder)
        return relay

    def send(self, events: Path) -> Process:
        """``pruuf send`` of a file."""
        arguments = ["send", str(events), "--url", self.gateway, "--key", self.key, "--json"]
        return self.start("send", *arguments, "--patience-s", "120")

    def policy(self, text: str) -> None:
        """Other plans for all that is started afterwards."""
        path = self.folder / "policy.toml"
        path.write_text(text)
        self.environ["PRUUF_POLICY"] = str(path)

    def _simulators(self, path: str, body: object = None, *, method: str = "POST") -> Any:  # noqa: ANN401 - JSON
        request = urllib.request.Request(
            f"{self.simulators}/_sim/{path}",
            data=None if body is None else json.dumps(body).encode(),
            method=method,
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def faults(self, **fault: object) -> None:
        """Switch a fault on."""
        self._simulators("faults", fault)

    def calm(self) -> None:
        """Switch all faults off."""
        self._simulators("faults", method="DELETE")

    def stats(self) -> dict[str, Any]:
        """What the simulators counted since their start."""
        counted: dict[str, Any] = self._simulators("stats", method="GET")
        return counted

    def text_us(self, phone: str, body: str) -> None:
        """Somebody texts us."""
        self._simulators("inbound", {"from": phone, "to": SENDERS[0], "body": body})

    def entries(self, provider: str | None = None) -> list[dict[str, Any]]:
        """What the providers accepted, oldest first."""
        query = "" if provider is None else f"?provider={provider}"
        with urllib.request.urlopen(f"{self.simulators}/_sim/ledger{query}", timeout=60) as answer:
            return [json.loads(line) for line in answer]

    def ledger(self) -> Counter[tuple[str, str]]:
        """How often the providers accepted something, by provider and address."""
        return Counter((entry["provider"], entry["to"]) for entry in self.entries())

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows by the owner's own connection."""
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            return connection.execute(sql).fetchall()

    def wait_until_final(
        self,
        *,
        within_s: float,
        meanwhile: Callable[[], None] | None = None,
    ) -> float:
        """Seconds until nothing is open; fails with what is left."""
        started = time.monotonic()
        while time.monotonic() - started < within_s:
            if self.query("SELECT count(*) FROM due")[0][0] == 0:
                return time.monotonic() - started
            if meanwhile is not None:
                meanwhile()
            time.sleep(0.5)
        left = self.query(
            "SELECT lane, step, work, owner IS NOT NULL, count(*), min(due_at - now())"
            " FROM due GROUP BY 1, 2, 3, 4",
        )
        msg = f"after {within_s} s still open: {left}"
        raise AssertionError(msg)


def wait_for(condition: Callable[[], bool], *, within_s: float, what: str) -> None:
    """Wait for a condition."""
    until = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < until, f"not within {within_s} s: {what}"
        time.sleep(0.05)


def number(n: int) -> str:
    """The n-th recipient's number; always delivered."""
    return f"+1998{n:07d}"


def day(run: str, count: int, *, alerts_per_hundred: int) -> Iterator[dict[str, Any]]:
    """Events of one run, one Contact each, every number once."""
    for n in range(count):
        missed = n % 100 < alerts_per_hundred
        subject = f"{run}-m{n}"
        yield {
            "specversion": "1.0",
            "id": f"e{n}",
            "source": run,
            "type": "checkin.missed" if missed else "checkin.confirmed",
            "time": "2026-11-23T09:00:00Z",
            "subject": subject,
            "data": {
                "member": {"id": subject, "name": "Alice", "phone": "+12025550123"},
                "contacts": [{"id": f"{run}-c{n}", "name": "Bob", "phone": number(n)}],
                "due_at" if missed else "at": "2026-11-23T08:30:00Z",
            },
        }


def write_events(path: Path, events: Iterator[dict[str, Any]]) -> Path:
    """NDJSON for ``pruuf send``."""
    with path.open("w") as file:
        for event in events:
            file.write(json.dumps(event) + "\n")
    return path
