"""The processes: each verb runs one, in the foreground, until SIGTERM; ``up`` runs them all."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from typing import Annotated, Any

import msgspec
import typer

from gateway.cli.database import database, settings_or_exit
from gateway.cli.outcome import Exit, err, fail, out
from gateway.cli.supervisor import Child, Supervisor
from gateway.server import serve as serve_gateway
from observability import logs
from outbox.keyfile import printed_keys
from outbox.relay.process import serve as serve_relay
from outbox.settings import Settings
from outbox.simulators.environment import environment
from outbox.simulators.server import serve as serve_simulators
from outbox.store.migrate import migrate as run_migrations


def _run(process: Coroutine[Any, Any, None], *, what: str, setting: str) -> None:
    logs.configure()
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(process)
    except OSError as error:
        fail(
            Exit.UNREACHABLE,
            f"{what} cannot listen: {error.strerror or error} — {setting}",
            remedy=f"Another process has this port. Stop it, or set {setting} to a free one.",
        )


def _loop_factory() -> Any:  # noqa: ANN401 - uvloop has no types for it
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return None
    return uvloop.new_event_loop


def gateway() -> None:
    """One gateway process: the HTTP edge."""
    with database(settings_or_exit()) as settings:
        _run(serve_gateway(settings), what="the gateway", setting="PRUUF_PORT")


def relay() -> None:
    """One relay process: delivers, and applies receipts. Run as many as you like."""
    with database(settings_or_exit()) as settings:
        settings.require_twilio()
        settings.require_fcm()
        _run(serve_relay(settings), what="the relay", setting="PRUUF_RELAY_METRICS_PORT")


def dashboard() -> None:
    """The dashboard."""
    with database(settings_or_exit()) as settings:
        raise typer.Exit(_foreground(settings, [sys.executable, "-m", "dashboard"]))


def _foreground(settings: Settings, command: list[str]) -> int:
    """Run a child in the foreground and pass SIGTERM and SIGINT on to it."""
    environ = {
        **os.environ,
        **key_environment(settings),
        "DATABASE_URL": settings.require_database(),
    }
    with Supervisor() as children:
        child = children.start(Child(name="dashboard", command=command, environ=environ))
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: child.terminate())
        return child.wait()


def simulate(
    port: Annotated[int, typer.Option(help="One port for all providers.")] = 9900,
    callback: Annotated[
        str | None,
        typer.Option(help="Where the app acknowledges pushes, such as http://127.0.0.1:8080."),
    ] = None,
    print_env: Annotated[
        bool,
        typer.Option("--print-env", help="Print the settings that point everything here; exit."),
    ] = False,
    host: Annotated[str, typer.Option(help="Loopback unless you know why not.")] = "127.0.0.1",
    sent_after_ms: Annotated[int, typer.Option(help="Until the callback 'sent'.")] = 50,
    final_after_ms: Annotated[int, typer.Option(help="Until the last callback.")] = 150,
    seed: Annotated[int | None, typer.Option(help="Repeat the same chances.")] = None,
) -> None:
    """Simulated Twilio and FCM on loopback, with a durable ledger at /_sim/ledger."""
    folder = settings_or_exit().data_dir / "simulator"
    if print_env:
        for name, value in environment(base_url=f"http://{host}:{port}", folder=folder).items():
            typer.echo(f"{name}={value}")
        return
    err.print(f"simulators on http://{host}:{port}   ledger: /_sim/ledger   faults: /_sim/faults")
    _run(
        serve_simulators(
            host=host,
            port=port,
            ledger=folder / "ledger.sqlite",
            callback=callback,
            seed=seed,
            sent_after_s=sent_after_ms / 1000,
            final_after_s=final_after_ms / 1000,
        ),
        what="the simulator",
        setting="--port",
    )


def migrate(
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,  # noqa: FBT002
) -> None:
    """Bring schema and roles up; safe to run from many machines at once."""
    with database(settings_or_exit(), migrated=False) as settings:
        revision = run_migrations(settings.require_database())
    if as_json:
        out.print_json(msgspec.json.encode({"revision": revision}).decode())
    else:
        out.print(f"the schema is at revision {revision}")


def up() -> None:
    """Gateway, relay and dashboard on this machine, with the configured providers."""
    with database(settings_or_exit()) as settings:
        settings.require_twilio()
        settings.require_fcm()
        environ = {
            **os.environ,
            **key_environment(settings),
            "DATABASE_URL": settings.require_database(),
        }
        with Supervisor() as children:
            for name in ("gateway", "relay"):
                command = [sys.executable, "-m", "gateway.cli.main", name]
                children.start(Child(name=name, command=command, environ=environ))
            command = [sys.executable, "-m", "dashboard"]
            children.start(Child(name="dashboard", command=command, environ=environ))
            out.print(f"API        {settings.public_url}/schema")
            out.print(f"Dashboard  http://{settings.host}:{settings.dashboard_port}")
            out.print("Ctrl-C ends everything in order.")
            raise typer.Exit(children.run())


def key_environment(settings: Settings) -> dict[str, str]:
    """The made keys as settings, for children that are given a DATABASE_URL."""
    return {
        "PRUUF_KEYS": printed_keys(settings.keys),
        "PRUUF_LOOKUP_KEYS": printed_keys(settings.lookup_keys),
    }

