"""``pruuf up``: gateway, relay and dashboard on this machine, with the configured providers."""

from __future__ import annotations

import socket

import typer

from gateway.cli.database import database, settings_or_exit
from gateway.cli.outcome import Exit, fail, out, say
from gateway.cli.processes import (
    child_environ,
    dashboard_child,
    in_order,
    refuse_address,
    verb_child,
)
from gateway.cli.ready import StackError, wait_until_answers
from gateway.cli.supervisor import Supervisor, told
from outbox.settings import Settings


def up() -> None:
    """Gateway, relay and dashboard on this machine, with the configured providers."""
    found = settings_or_exit(Settings.require_twilio, Settings.require_fcm)
    _ports_or_exit(found)
    with in_order(), database(found) as settings, Supervisor() as children:
        environ = child_environ(settings)
        api = f"http://{_local(settings.host)}:{settings.port}"
        # Nobody signs in to the pages: they are for this machine, wherever the gateway listens.
        pages = f"http://127.0.0.1:{settings.dashboard_port}"
        say("gateway, relay and dashboard")
        gateway = children.start(verb_child("gateway", environ))
        relay = children.start(verb_child("relay", environ))
        near = {**environ, "PRUUF_HOST": "127.0.0.1"}
        dashboard = children.start(dashboard_child(near))
        try:
            if settings.port:
                wait_until_answers(f"{api}/healthz", gateway)
            if settings.relay_metrics_port:
                metrics = f"http://{_local(settings.host)}:{settings.relay_metrics_port}/metrics"
                wait_until_answers(metrics, relay)
            if settings.dashboard_port:
                wait_until_answers(f"{pages}/_stcore/health", dashboard)
        except StackError as error:
            fail(Exit.UNREACHABLE if error.port_taken else Exit.BAD_NEWS, str(error))
        out.print(f" API        {api}/schema")
        out.print(f" Dashboard  {pages}")
        out.print(f" Metrics    {api}/metrics")
        out.print(" Ctrl-C ends everything in order.")
        raise typer.Exit(told(children.first_to_end()))


def _ports_or_exit(settings: Settings) -> None:
    """See all ports free before anything starts."""
    for name, port in (
        ("PRUUF_PORT", settings.port),
        ("PRUUF_DASHBOARD_PORT", settings.dashboard_port),
        ("PRUUF_RELAY_METRICS_PORT", settings.relay_metrics_port),
    ):
        try:
            family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
            socket.create_server((settings.host, port), family=family).close()
        except OSError as error:
            refuse_address(error, what=f"port {port}", host="PRUUF_HOST", port=name)


def _local(host: str) -> str:
    """A host that is listened on as one that can be called from here."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - not bound here
    return f"[{host}]" if ":" in host else host
