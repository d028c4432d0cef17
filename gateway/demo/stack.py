"""Starts the demonstration's processes: simulators, gateway, relay, dashboard."""

from __future__ import annotations

import os
from collections.abc import Callable

from msgspec import Struct

from gateway.cli.processes import dashboard_child, verb_child
from gateway.cli.ready import StackError, free_port, wait_until_answers
from gateway.cli.supervisor import Process, Supervisor
from gateway.demo.place import Place
from outbox.keyfile import printed_keys
from outbox.settings import NAMES, Settings
from outbox.simulators.environment import environment

__all__ = ["Addresses", "Stack", "StackError", "free_port", "wait_until_answers"]

_OURS = ("PRUUF_", "TWILIO_", "FCM_", "STRIPE_", "OTEL_", "GOOGLE_", "STREAMLIT_", "PG")


class Addresses(Struct, frozen=True, kw_only=True):
    """Where everything answers."""

    gateway: str
    dashboard: str
    simulators: str
    relay_metrics: str


class Stack:
    """The processes of one demonstration; ends with its supervisor."""

    def __init__(self, settings: Settings, place: Place, children: Supervisor) -> None:
        """``settings`` hold the demonstration's own database and keys."""
        self._children = children
        self._place = place
        self._logs = place.folder / "logs"
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
        self.environ = {
            **_clean(),
            **environment(base_url=simulators, folder=place.folder / "simulator"),
            "DATABASE_URL": settings.require_database(),
            "PRUUF_DATA_DIR": str(place.folder),
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
        say("simulators of Twilio, FCM and Stripe")
        arguments = ("--port", str(self._simulator_port), "--callback", at.gateway)
        simulators = self._verb("simulate", *arguments)
        self._wait(simulators, f"{at.simulators}/_sim/health")
        say("gateway, relay and dashboard")
        gateway, relay = self._verb("gateway"), self._verb("relay")
        more = self._more("dashboard")
        dashboard = self._children.start(dashboard_child(self.environ, **more))
        self._wait(gateway, f"{at.gateway}/healthz")
        self._wait(relay, f"{at.relay_metrics}/metrics")
        self._wait(gateway, f"{at.gateway}/readyz")
        self._wait(dashboard, f"{at.dashboard}/_stcore/health")

    def _verb(self, verb: str, *arguments: str) -> Process:
        more = self._more(verb)
        return self._children.start(verb_child(verb, self.environ, arguments=arguments, **more))

    def _more(self, name: str) -> dict[str, object]:
        # Not where we were called: a .env there is meant for real providers.
        return {
            "cwd": str(self._place.folder),
            "log": str(self._logs / f"{name}.log"),
            "keep": (self._place.lock,),
        }

    def _wait(self, process: Process, url: str) -> None:
        wait_until_answers(url, process, self._logs / f"{process.name}.log")


def _clean() -> dict[str, str]:
    """Our environment without any setting: a demonstration must never text anybody."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in NAMES and not name.startswith(_OURS)
    }
