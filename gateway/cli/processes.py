"""The processes: each verb runs one, in the foreground, until SIGTERM; ``up`` runs them all."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from gateway.cli.database import answered, data_dir, database, settings_or_exit
from gateway.cli.outcome import Exit, err, fail, good
from gateway.cli.signals import Stopped, ignore, run
from gateway.cli.supervisor import Child, Supervisor
from observability import logs
from outbox.keyfile import printed_keys
from outbox.settings import Settings

_TAKEN = {errno.EADDRINUSE, errno.EACCES}


@contextmanager
def in_order() -> Iterator[None]:
    """SIGTERM and Ctrl-C end what is in here with exit code 0, also while it still starts."""
    try:
        yield
    except Stopped:
        raise typer.Exit(Exit.FINE) from None


def _serve(process: Coroutine[Any, Any, None], *, what: str, host: str, port: str) -> None:
    """Run a process that ends itself on SIGTERM; exit 3 when it cannot listen where it should."""
    logs.configure()
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(process)
    except OSError as error:
        refuse_address(error, what=what, host=host, port=port)
    finally:
        ignore()


def refuse_address(error: OSError, *, what: str, host: str, port: str) -> None:
    """Exit 3 for an address that cannot be listened on; ``host`` and ``port`` are settings."""
    if error.errno in _TAKEN:
        fail(
            Exit.UNREACHABLE,
            f"{what} cannot listen: {error.strerror} — {port}",
            remedy=f"Another process has this port, or it is reserved. Set {port} to a free one.",
        )
    if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
        fail(
            Exit.UNREACHABLE,
            f"{what} cannot listen: {error.strerror} — {host}",
            remedy=f"Set {host} to an address of this machine, such as 127.0.0.1 or 0.0.0.0.",
        )
    raise error


def _loop_factory() -> Any:  # noqa: ANN401 - uvloop has no types for it
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return None
    return uvloop.new_event_loop


def gateway() -> None:
    """One gateway process: the HTTP edge."""
    from gateway.server import serve  # noqa: PLC0415 - other verbs need not wait for it

    with in_order(), database(settings_or_exit()) as settings:
        serving = serve(settings, ready=_announced("gateway", settings.host))
        _serve(serving, what="the gateway", host="PRUUF_HOST", port="PRUUF_PORT")


def relay(
    only_receipts: Annotated[  # noqa: FBT002 - a flag
        bool,
        typer.Option(
            "--only-receipts",
            help="Apply the receipts that lie in the inbox, deliver nothing, end. After a restore.",
        ),
    ] = False,
) -> None:
    """One relay process: delivers, and applies receipts. Run as many as you like."""
    from outbox.relay.only_receipts import apply_receipts  # noqa: PLC0415 - others need not wait
    from outbox.relay.process import serve  # noqa: PLC0415 - as above

    found = settings_or_exit(Settings.require_twilio, Settings.require_fcm)
    with in_order(), database(found) as settings:
        if only_receipts:
            with answered():
                applied = run(apply_receipts(settings))
            good(f"{applied:,} receipts and texts applied; nothing was sent")
            return
        serving = serve(settings, ready=lambda: err.print("the relay works"))
        _serve(serving, what="the relay", host="PRUUF_HOST", port="PRUUF_RELAY_METRICS_PORT")


def dashboard() -> None:
    """The dashboard."""
    with in_order(), database(settings_or_exit()) as settings, Supervisor() as children:
        page = children.start(dashboard_child(child_environ(settings)))
        children.first_to_end()
        # It has said why itself.
        raise typer.Exit(page.wait())


def simulate(
    port: Annotated[int, typer.Option(min=0, max=65_535, help="One for all providers.")] = 9900,
    callback: Annotated[
        str | None,
        typer.Option(help="Where the app acknowledges pushes, such as http://127.0.0.1:8080."),
    ] = None,
    print_env: Annotated[  # noqa: FBT002 - a flag
        bool,
        typer.Option("--print-env", help="Print the settings that point everything here; exit."),
    ] = False,
    host: Annotated[str, typer.Option(help="Loopback unless you know why not.")] = "127.0.0.1",
    sent_after_ms: Annotated[
        int, typer.Option(min=0, help="From accepting a text to the callback 'sent'.")
    ] = 50,
    final_after_ms: Annotated[int, typer.Option(min=0, help="From there to the last one.")] = 150,
    seed: Annotated[int | None, typer.Option(help="Repeat the same chances.")] = None,
) -> None:
    """Simulated Twilio, FCM and Stripe on loopback, with a durable ledger at /_sim/ledger."""
    from outbox.simulators.environment import environment  # noqa: PLC0415 - as above
    from outbox.simulators.server import serve  # noqa: PLC0415 - as above

    folder = data_dir() / "simulator"
    try:
        if print_env:
            shown = environment(base_url=f"http://{_bracketed(host)}:{port}", folder=folder)
            for name, value in shown.items():
                typer.echo(f"{name}={value}")
            return
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        what = f"{error.filename or folder} cannot be written: {error.strerror} — PRUUF_DATA_DIR"
        fail(Exit.UNREACHABLE, what)
    with in_order():
        try:
            serving = serve(
                host=host,
                port=port,
                ledger=folder / "ledger.sqlite",
                callback=callback,
                seed=seed,
                sent_after_s=sent_after_ms / 1000,
                final_after_s=final_after_ms / 1000,
                ready=_announced("simulators", host, "ledger: /_sim/ledger   faults: /_sim/faults"),
            )
            _serve(serving, what="the simulator", host="--host", port="--port")
        except ValueError as error:
            fail(Exit.WRONG_USE, f"{error} — --callback")


def _announced(name: str, host: str, more: str = "") -> Callable[[int], None]:
    return lambda port: err.print(f"{name} on http://{_bracketed(host)}:{port}   {more}".rstrip())


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def verb_child(verb: str, environ: Mapping[str, str], **more: Any) -> Child:  # noqa: ANN401 - fields of Child
    """One of the verbs here as a child process."""
    command = [sys.executable, "-m", "gateway.cli.main", verb, *more.pop("arguments", ())]
    return Child(name=verb, command=command, environ=environ, **more)


def dashboard_child(environ: Mapping[str, str], **more: Any) -> Child:  # noqa: ANN401 - fields of Child
    """The dashboard as a child process."""
    command = [sys.executable, "-m", "dashboard"]
    return Child(name="dashboard", command=command, environ=environ, **more)


def child_environ(settings: Settings) -> dict[str, str]:
    """Our environment for children: the database in use, and its keys even if they were made."""
    return {
        **os.environ,
        "PRUUF_KEYS": printed_keys(settings.keys),
        "PRUUF_LOOKUP_KEYS": printed_keys(settings.lookup_keys),
        "DATABASE_URL": settings.require_database(),
    }
