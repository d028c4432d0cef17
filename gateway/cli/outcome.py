"""How the command line speaks: results on stdout, all else on stderr; exit codes and errors.

With no terminal attached everything is plain lines; text from elsewhere cannot steer a terminal.
"""

from __future__ import annotations

import re
import sys
from enum import IntEnum
from typing import Any, NoReturn, TextIO

import msgspec
import typer
from rich.console import Console
from rich.text import Text

_UNFOLDED = 10_000
_STEERING = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class _Stderr(Console):
    """Says what nobody may be there to read any more: a process goes on all the same."""

    def on_broken_pipe(self) -> None:
        self.quiet = True


def _console(kind: type[Console], stream: TextIO, *, stderr: bool) -> Console:
    # A file has no width: nothing is cut off or folded there.
    width = None if stream.isatty() else _UNFOLDED
    return kind(
        stderr=stderr, width=width, soft_wrap=True, highlight=False, markup=False, emoji=False
    )


out = _console(Console, sys.stdout, stderr=False)
err = _console(_Stderr, sys.stderr, stderr=True)


class Exit(IntEnum):
    """What a verb's exit code says."""

    FINE = 0
    BAD_NEWS = 1
    WRONG_USE = 2
    UNREACHABLE = 3


def clean(text: str) -> str:
    """Text from elsewhere as one line that cannot move the cursor or turn the writing."""
    return _STEERING.sub("\N{REPLACEMENT CHARACTER}", text)


def say(text: str) -> None:
    """Progress in words, on stderr."""
    err.print(Text.assemble(("·", "dim"), f" {clean(text)}"))


def good(text: str) -> None:
    """A result that is as it should be."""
    out.print(Text.assemble(("✓", "green"), f" {clean(text)}"))


def bad(text: str) -> None:
    """Bad news among results."""
    out.print(Text.assemble(("✗", "bold red"), f" {clean(text)}"))


def print_json(value: Any) -> None:  # noqa: ANN401 - whatever can be encoded
    """A result for programs."""
    typer.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def fail(code: Exit, what: str, *, remedy: str | None = None) -> NoReturn:
    """Say on stderr what is wrong, where and what to do; exit."""
    err.print(Text.assemble(("✗", "bold red"), f" {clean(what)}"))
    for line in (remedy or "").splitlines():
        err.print(f"  {clean(line)}")
    raise typer.Exit(code)
