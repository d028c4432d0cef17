"""The reference page of the command line, made from the verbs themselves.

``python -m gateway.cli.page > runbooks/reference/cli.md`` writes it anew.
"""

from __future__ import annotations

import inspect
import sys
import typing
from collections.abc import Iterator
from enum import Enum
from typing import Any

import typer

from gateway.cli.verbs import app
from outbox.settings import NAMES

_HEAD = """\
# Command line

Every verb of `pruuf`. The page is made from the verbs themselves, and a test compares it with them:

    python -m gateway.cli.page > runbooks/reference/cli.md

Exit codes: 0 fine, 1 the answer is bad news (also: no such id), 2 wrong use, 3 cannot reach
something (named). Results go to stdout, everything else to stderr. A verb that needs the embedded
Postgres starts it if it is not running, and stops what it started. Settings come from the
environment, then from `./.env`; `pruuf doctor` lists them with their source.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *_commands(typer.main.get_command(app), "pruuf"), *_settings()]) + "\n"


def _commands(command: Any, name: str) -> Iterator[str]:  # noqa: ANN401 - a click command
    children = getattr(command, "commands", None)
    if children is None:
        yield from _verb(command, name)
        return
    for child in sorted(children):
        yield from _commands(children[child], f"{name} {child}")


def _verb(command: Any, name: str) -> Iterator[str]:  # noqa: ANN401 - a click command
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and p.name != "help"]
    shown = [name, *(_argument(each) for each in arguments), *(["[OPTIONS]"] if options else [])]
    yield f"## {name}\n"
    yield f"`{' '.join(shown)}`\n"
    yield inspect.cleandoc(command.help or "") + "\n"
    described = [(each, each.help) for each in arguments if getattr(each, "help", None)]
    if options or described:
        yield "| | |\n| --- | --- |"
    for each, text in described:
        yield f"| `{_argument(each)}` | {text} |"
    for each in options:
        yield f"| {_option(each)} | {_explained(each)} |"
    if options or described:
        yield ""


def _argument(parameter: Any) -> str:  # noqa: ANN401 - a click parameter
    name = (parameter.metavar or parameter.name).strip("[]").upper()
    return name if parameter.required else f"[{name}]"


def _option(parameter: Any) -> str:  # noqa: ANN401 - a click parameter
    takes = "" if parameter.is_flag else f" {_value(parameter)}"
    return ", ".join(f"`{form}{takes}`" for form in parameter.opts)


def _value(parameter: Any) -> str:  # noqa: ANN401 - a click parameter
    """What an option takes: its choices, or a word for its type."""
    if parameter.metavar:
        return str(parameter.metavar)
    found: Any = parameter.type_descriptor.annotation
    inner = [each for each in typing.get_args(found) if each is not type(None)]
    found = inner[0] if inner else found
    if isinstance(found, type) and issubclass(found, Enum):
        return "\\|".join(str(each.value) for each in found)
    return "N" if found in {int, float} else str(parameter.name).upper()


def _explained(parameter: Any) -> str:  # noqa: ANN401 - a click parameter
    text = parameter.help or ""
    if parameter.required:
        return f"{text} Required.".strip()
    default = parameter.default
    if parameter.is_flag or default is None or default == () or callable(default):
        return text
    return f"{text} Default: `{default}`.".strip()


def _settings() -> Iterator[str]:
    yield "## Settings\n"
    yield "Every setting that this version reads; `.env.example` explains each.\n"
    yield ", ".join(f"`{name}`" for name in NAMES) + "."


if __name__ == "__main__":
    sys.stdout.write(page())
