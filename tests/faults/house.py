"""Two gateways and two relays that are restarted one after the other, as a deployment does it."""

from __future__ import annotations

import time
from pathlib import Path

from gateway.cli.supervisor import Process
from gateway.demo.stack import free_port, wait_until_answers
from outbox.relay.process import DRAIN_S
from tests.faults.balancer import Balancer
from tests.faults.stack import Stack
from tests.faults.table import Scenario

END_S = 3.0
"""Beyond a drain: what the end of a process takes on a busy machine."""


class House:
    """Two gateways behind a balancer, and two relays."""

    def __init__(self, stack: Stack, balancer: Balancer) -> None:
        self.stack = stack
        self.balancer = balancer
        stack.gateway = stack.environ["PRUUF_PUBLIC_URL"] = balancer.url
        self.ports = {name: free_port(0) for name in ("gateway-a", "gateway-b")}
        simulators = stack.start_simulators()
        self.running = {name: self.start(name) for name in (*self.ports, "relay-a", "relay-b")}
        balancer.ports = list(self.ports.values())
        wait_until_answers(f"{stack.simulators}/_sim/health", simulators, stack.folder)

    def start(self, name: str) -> Process:
        """Start one, ready to work."""
        if name not in self.ports:
            return self.stack.start_relay(name)
        port = self.ports[name]
        self.stack.environ["PRUUF_PORT"] = str(port)
        process = self.stack.start(name, "gateway")
        wait_until_answers(f"http://127.0.0.1:{port}/readyz", process, Path(self.stack.folder))
        return process

    def restart(self, name: str, row: Scenario) -> None:
        """End one by SIGTERM and start it again; the longest end is kept in the row."""
        began = time.monotonic()
        old = self.running[name]
        old.terminate()
        # It still answers for a moment, while whoever stands before it turns to the other one.
        self.balancer.ports = [p for n, p in self.ports.items() if n != name]
        assert old.wait(DRAIN_S + END_S) == 0, f"{name} did not end in order"
        row.recovered_s = max(row.recovered_s or 0.0, time.monotonic() - began)
        row.tries += 1
        self.running[name] = self.start(name)
        self.balancer.ports = list(self.ports.values())
