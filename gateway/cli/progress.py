"""Progress over anything that takes longer than a second: a bar on a terminal, else plain lines."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from gateway.cli.outcome import clean, err, say

_EVERY_S = 5.0
_AT_LEAST_S = 30.0
"""So often a line comes even if nothing has changed: it is still alive."""


class Progress:
    """Counts what is done of something."""

    def __init__(self, title: str, *, total: int | None) -> None:
        """``total`` is null when nobody knows."""
        self._title = title
        self._total = total
        self._done = 0
        self._bar: Bar | None = None
        self._note = ""
        self._told, self._shown = time.monotonic(), 0
        if err.is_terminal:
            self._bar = Bar(
                TextColumn("  {task.description}"),
                BarColumn(bar_width=30),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("{task.fields[note]}"),
                console=err,
                transient=True,
            )
            self._task = self._bar.add_task(title, total=total, note="")

    def __enter__(self) -> Self:
        """Show it."""
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Put it away."""
        if self._bar is not None:
            self._bar.stop()

    def advance(self, number: int) -> None:
        """So many more are done."""
        self.reach(self._done + number)

    def reach(self, done: int) -> None:
        """So many are done."""
        self._done = done
        quiet_s = time.monotonic() - self._told
        if self._bar is not None:
            self._bar.update(self._task, completed=done, note="")
        elif quiet_s >= (_AT_LEAST_S if done == self._shown else _EVERY_S):
            self._told, self._shown = time.monotonic(), done
            of = "" if self._total is None else f" of {self._total:,}"
            say(f"{self._title}: {done:,}{of}")
        self._note = ""

    def note(self, text: str) -> None:
        """Why it does not go on; told once, until it goes on."""
        if text == self._note:
            return
        self._note = text
        if self._bar is not None:
            self._bar.update(self._task, note=clean(text))
        else:
            say(text)
