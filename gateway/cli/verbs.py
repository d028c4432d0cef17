"""All verbs of ``pruuf``, each loaded when it is called for."""

from __future__ import annotations

import platform
import sys
from collections import UserDict
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

# In the order of the help: where each verb's function, or its own verbs, are found.
_PLACES = {
    "demo": "demo:demo",
    "up": "up:up",
    "gateway": "processes:gateway",
    "relay": "processes:relay",
    "dashboard": "processes:dashboard",
    "simulate": "processes:simulate",
    "migrate": "migrating:migrate",
    "key": "keys:app",
    "send": "send:send",
    "trace": "trace:trace",
    "search": "search:search",
    "callbacks": "callbacks:callbacks",
    "stats": "stats:stats",
    "evidence": "evidence:collect",
    "cancel": "act:cancel",
    "redrive": "act:redrive",
    "hold": "hold:hold",
    "release": "hold:release",
    "acknowledge": "acknowledge:acknowledge",
    "audit": "audit:audit",
    "retain": "retain:retain",
    "reseal": "reseal:reseal",
    "erasures": "erasures:erasures",
    "reconcile": "reconcile:app",
    "slo": "slo:slo",
    "watch": "watch:watch",
    "doctor": "doctor:doctor",
}
_ON_TERMINAL = sys.stdout.isatty() and sys.stderr.isatty()

# Frames are for eyes; a file gets plain lines.
_MARKUP: Any = "rich" if _ON_TERMINAL else None


class _Shelf(UserDict[str, Any]):
    """The verbs by name. All together take a second to load, and one alone a third of it."""

    def __contains__(self, name: object) -> bool:
        return name in _PLACES

    def __iter__(self) -> Iterator[str]:
        return iter(_PLACES)

    def __len__(self) -> int:
        return len(_PLACES)

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - a click command
        if name not in self.data:
            self.data[name] = _load(name, *_PLACES[name].split(":"))
        return self.data[name]


def _load(name: str, module: str, found: str) -> Any:  # noqa: ANN401 - a click command
    verb = getattr(import_module(f"gateway.cli.{module}"), found)
    if not isinstance(verb, typer.Typer):
        function, verb = verb, typer.Typer(add_completion=False, rich_markup_mode=_MARKUP)
        verb.command(name=name)(function)
    return typer.main.get_command(verb)


class _Verbs(TyperGroup):
    """A group that knows its verbs' names before it has loaded them."""

    def __init__(self, **given: Any) -> None:  # noqa: ANN401 - passed on as typer gives it
        super().__init__(**given)
        self.commands = _Shelf()


app = typer.Typer(
    name="pruuf",
    cls=_Verbs,
    help=(
        "Notification gateway of Pruuf: a missed check-in becomes somebody's knowledge, or a "
        "person on call is told.\n\nExit codes: 0 fine, 1 bad news, 2 wrong use, 3 cannot reach "
        "something."
    ),
    no_args_is_help=True,
    rich_markup_mode=_MARKUP,
    # A fault of ours goes into a log as it is, without frames drawn around it.
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:  # noqa: FBT001 - typer calls it so
    if asked:
        from outbox.store.migrate import newest_revision  # noqa: PLC0415 - it loads Alembic

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
