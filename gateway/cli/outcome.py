"""Exit codes and errors of the command line: what is wrong, where, what to do."""

from __future__ import annotations

from enum import IntEnum
from typing import NoReturn

import typer
from rich.console import Console

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


class Exit(IntEnum):
    """What a verb's exit code says."""

    FINE = 0
    BAD_NEWS = 1
    WRONG_USE = 2
    UNREACHABLE = 3


def fail(code: Exit, what: str, *, remedy: str | None = None) -> NoReturn:
    """Say it on stderr and exit."""
    err.print(f"[bold red]✗[/] {what}", markup=True)
    if remedy:
        err.print(f"  {remedy}", markup=False)
    raise typer.Exit(code)
