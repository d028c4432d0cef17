"""``pruuf demo``: the whole product on this machine plays a day, and shows what became of it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from gateway.cli.database import answered, data_dir, embedded, report
from gateway.cli.outcome import Exit, err, fail, out, print_json, say
from gateway.cli.sending import AwayError
from gateway.cli.signals import Stopped, run
from gateway.cli.supervisor import Supervisor, told
from gateway.demo import invitation
from gateway.demo.place import CrowdedError, Place, place
from gateway.demo.play import play
from gateway.demo.report import show
from gateway.demo.stack import Stack, StackError
from outbox.settings import Settings, SettingsError, load
from outbox.store import keys
from outbox.store.connect import owner_engine
from outbox.store.keys import Scope
from outbox.store.migrate import migrate

_TRIES = 3
"""Starts of everything: a port may be taken between being found free and being used."""


def demo(
    once: Annotated[bool, typer.Option("--once", help="Check the outcome, then end.")] = False,  # noqa: FBT002
    as_json: Annotated[bool, typer.Option("--json", help="The result for programs.")] = False,  # noqa: FBT002
) -> None:
    """Play a day: embedded Postgres, simulated providers, gateway, relay, dashboard."""
    finished = False
    try:
        with _running() as (stack, settings, children, began):
            url = settings.require_database()
            with owner_engine(url).begin() as connection:
                name = f"demo {datetime.now(UTC):%Y-%m-%d %H:%M}"
                key = keys.create(connection, name=name, scopes=list(Scope)).secret
            result = run(
                play(stack.addresses, database_url=url, key=key, began=began, say=say),
            )
            try_it = invitation.curl(stack.addresses.gateway, key, run=f"{int(time.time()):x}")
            if as_json:
                print_json({**msgspec.to_builtins(result), "curl": None if once else try_it})
            else:
                show(result, out, logs=settings.data_dir / "logs")
            finished = True
            if once:
                err.print("all of it ends now; without --once it runs on until Ctrl-C")
                raise typer.Exit(Exit.FINE if result.ok else Exit.BAD_NEWS)
            if not as_json:
                _invite(settings, try_it)
            err.print("Ctrl-C ends everything.")
            raise typer.Exit(told(children.first_to_end()))
    except Stopped as stopped:
        err.print("stopped; nothing of the demonstration is left running")
        raise typer.Exit(Exit.FINE if finished and not once else stopped.exit_code) from None


@contextmanager
def _running() -> Iterator[tuple[Stack, Settings, Supervisor, float]]:
    """Everything up, in a place of its own; all of it ends with the context."""
    began = time.monotonic()
    try:
        with place(data_dir()) as found:
            # Its keys are made before there is a database to be sealed with them.
            settings = _settings(found)
            with embedded(found.folder, alone=True) as url, answered(), Supervisor() as children:
                migrate(url)
                settings = msgspec.structs.replace(settings, database_url=url)
                yield _started(settings, found, children), settings, children, began
    except (StackError, AwayError) as error:
        fail(Exit.UNREACHABLE, str(error))
    except CrowdedError as error:
        fail(Exit.UNREACHABLE, str(error), remedy="Stop one of them with Ctrl-C.")
    except OSError as error:
        what = f"{error.filename or 'the data folder'} cannot be used: {error.strerror or error}"
        fail(Exit.UNREACHABLE, what, remedy="Set PRUUF_DATA_DIR to a folder of yours.")


def _settings(found: Place) -> Settings:
    # Of the demonstration alone: neither the environment nor a .env of this folder gets in.
    try:
        return load({"PRUUF_DATA_DIR": str(found.folder)}, cwd=found.folder)
    except SettingsError as error:
        report(error)


def _started(settings: Settings, found: Place, children: Supervisor) -> Stack:
    for left in reversed(range(_TRIES)):
        stack = Stack(settings, found, children)
        try:
            stack.start(say)
        except StackError as error:
            if not error.port_taken or not left:
                raise
            children.stop()
            say("a port was taken meanwhile; trying others")
        else:
            return stack
    raise AssertionError


def _invite(settings: Settings, curl: str) -> None:
    command = sys.argv[0] if Path(sys.argv[0]).name == "pruuf" else "pruuf"
    out.print(" Try it in another terminal; the answer names the notification:\n")
    typer.echo(curl)
    out.print(f"\n Its story:  PRUUF_DATA_DIR={settings.data_dir} {command} trace ID\n")
