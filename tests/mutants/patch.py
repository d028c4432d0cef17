"""A mutant: a unified diff below a line on what it breaks and lines on who has to catch it.

A hunk is found by its text, which has to be there exactly once: line numbers say nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

FOLDER = Path(__file__).parent
_BREAKS, _CAUGHT = "Breaks: ", "Caught by: "


class PatchError(Exception):
    """A patch that does not fit the tree, or says too little."""


class Change(Struct, frozen=True):
    """One hunk."""

    path: str
    before: str
    after: str


class Mutant(Struct, frozen=True):
    """One deliberate bug."""

    name: str
    breaks: str
    tests: tuple[str, ...]
    """Of pytest: a file, or one test in it."""
    changes: tuple[Change, ...]

    def apply(self, root: Path) -> None:
        """Break the tree below ``root``; raises `PatchError` where a hunk does not fit."""
        for path in {change.path for change in self.changes}:
            text = (root / path).read_text(encoding="utf-8")
            for change in self.changes:
                if change.path == path:
                    text = self._changed(text, change)
            (root / path).write_text(text, encoding="utf-8")

    def check(self, root: Path) -> None:
        """Raises `PatchError` where `apply` would."""
        for change in self.changes:
            if not (root / change.path).is_file():
                msg = f"{self.name}: there is no {change.path}"
                raise PatchError(msg)
            self._changed((root / change.path).read_text(encoding="utf-8"), change)

    def _changed(self, text: str, change: Change) -> str:
        times = text.count(change.before)
        if times != 1:
            msg = f"{self.name}: found {times} times in {change.path}:\n{change.before}"
            raise PatchError(msg)
        return text.replace(change.before, change.after)


def read(path: Path) -> Mutant:
    """Read one patch."""
    head, *files = re.split(
        r"^--- a/.*\n\+\+\+ b/", path.read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    breaks = re.findall(rf"^{_BREAKS}(.+)$", head, re.MULTILINE)
    tests = re.findall(rf"^{_CAUGHT}(.+)$", head, re.MULTILINE)
    changes = []
    for file in files:
        target, _, hunks = file.partition("\n")
        for hunk in re.split(r"^@@ .*\n", hunks, flags=re.MULTILINE)[1:]:
            lines = hunk.splitlines(keepends=True)
            before = "".join(line[1:] for line in lines if line[0] in " -")
            after = "".join(line[1:] for line in lines if line[0] in " +")
            changes.append(Change(target, before, after))
    if not (breaks and tests and changes):
        msg = f"{path.name}: it has to say what it breaks, who catches it, and how"
        raise PatchError(msg)
    return Mutant(path.stem, breaks[0], tuple(tests), tuple(changes))


def mutants(names: Iterable[str] = ()) -> list[Mutant]:
    """All of them, or those whose name begins with one of these."""
    wanted = tuple(names)
    paths = [p for p in sorted(FOLDER.glob("*.patch")) if not wanted or p.name.startswith(wanted)]
    return [read(path) for path in paths]
