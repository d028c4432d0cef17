"""``pruuf``: the one command; every verb says what it did and exits with a code that tells."""

from __future__ import annotations

import sys

import typer

from gateway.cli import demo, doctor, keys, look, processes, send
from gateway.cli.database import report
from outbox.settings import SettingsError

app = typer.Typer(
    name="pruuf",
    help=(
        "Notification gateway of Pruuf: a missed check-in becomes somebody's knowledge, or a "
        "person on call is told.\n\nExit codes: 0 fine, 1 bad news, 2 wrong use, 3 cannot reach "
        "something."
    ),
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command()(demo.demo)
app.command()(processes.up)
app.command()(processes.gateway)
app.command()(processes.relay)
app.command()(processes.dashboard)
app.command()(processes.simulate)
app.command()(processes.migrate)
app.add_typer(keys.app, name="key")
app.command()(send.send)
app.command()(look.trace)
app.command()(look.stats)
app.command()(doctor.doctor)


def main() -> None:
    """Entry point of the console command."""
    try:
        app()
    except SettingsError as error:
        try:
            report(error)
        except typer.Exit as stop:
            sys.exit(stop.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
