"""All verbs of ``pruuf``."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import version
from typing import Annotated

import typer

from gateway.cli import (
    acknowledge,
    act,
    audit,
    callbacks,
    demo,
    doctor,
    erasures,
    evidence,
    hold,
    keys,
    migrating,
    processes,
    reconcile,
    retain,
    search,
    send,
    slo,
    stats,
    trace,
    up,
    watch,
)
from outbox.store.migrate import newest_revision

_ON_TERMINAL = sys.stdout.isatty() and sys.stderr.isatty()

app = typer.Typer(
    name="pruuf",
    help=(
        "Notification gateway of Pruuf: a missed check-in becomes somebody's knowledge, or a "
        "person on call is told.\n\nExit codes: 0 fine, 1 bad news, 2 wrong use, 3 cannot reach "
        "something."
    ),
    no_args_is_help=True,
    # Frames are for eyes; a file gets plain lines.
    rich_markup_mode="rich" if _ON_TERMINAL else None,
    # A fault of ours goes into a log as it is, without frames drawn around it.
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:  # noqa: FBT001 - typer calls it so
    if asked:
        typer.echo(
            f"pruuf {version('pruuf-gateway')}, schema {newest_revision()},"
            f" Python {platform.python_version()}"
        )
        raise typer.Exit


@app.callback()
def pruuf(
    asked: Annotated[  # noqa: FBT002 - answered by its callback; a flag
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Say which this is."),
    ] = False,
) -> None:
    """Take what goes before a verb."""


app.command()(demo.demo)
app.command()(up.up)
app.command()(processes.gateway)
app.command()(processes.relay)
app.command()(processes.dashboard)
app.command()(processes.simulate)
app.command()(migrating.migrate)
app.add_typer(keys.app, name="key")
app.command()(send.send)
app.command()(trace.trace)
app.command()(search.search)
app.command()(callbacks.callbacks)
app.command()(stats.stats)
app.command(name="evidence")(evidence.collect)
app.command()(act.cancel)
app.command()(act.redrive)
app.command()(hold.hold)
app.command()(hold.release)
app.command()(acknowledge.acknowledge)
app.command()(audit.audit)
app.command()(retain.retain)
app.command()(erasures.erasures)
app.add_typer(reconcile.app, name="reconcile")
app.command()(slo.slo)
app.command()(watch.watch)
app.command()(doctor.doctor)
