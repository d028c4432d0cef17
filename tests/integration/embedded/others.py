"""What the tests of the embedded Postgres ask, and other processes that use the same server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: sudo make test")
_ROOT = Path(__file__).parents[3]


def ask(url: str, query: str) -> object:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(query).fetchone()
    return None if row is None else row[0]


def do(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)


class Other:
    """Another process that uses the server of a folder."""

    def __init__(self, home: Path, *user: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.embedded.server", str(home), *user],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def told(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"it ended with {self.process.wait(60)}"
        told: dict[str, Any] = json.loads(line)
        return told

    def end(self) -> int:
        self.process.communicate(timeout=60)
        return self.process.returncode


Start = Callable[..., Other]


def modes(folder: Path) -> dict[Path, tuple[int, int, int]]:
    states = {part: part.stat() for part in [folder, *folder.parents]}
    return {part: (state.st_mode, state.st_uid, state.st_gid) for part, state in states.items()}
