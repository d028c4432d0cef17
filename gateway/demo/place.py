"""Where a demonstration lives: ``demo/`` below the data folder, or a folder in it if that is used.

Whoever runs beside another has a database, ports and a ledger of its own.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from outbox.datafolder import make_data_dir

_MOST = 20


class Place(Struct, frozen=True):
    """A folder that nobody else uses."""

    folder: Path
    lock: int
    """Open file: who holds it keeps the place, so children that outlive us keep it too."""


class CrowdedError(Exception):
    """Every place is taken."""


@contextmanager
def place(home: Path) -> Iterator[Place]:
    """The first free place below a data folder. Raises `CrowdedError`, or `OSError`."""
    for number in range(1, _MOST + 1):
        folder = home / "demo" if number == 1 else home / "demo" / str(number)
        make_data_dir(folder)
        lock = os.open(folder / "demo.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        try:
            yield Place(folder, lock)
        finally:
            os.close(lock)
        return
    msg = f"{_MOST} demonstrations run below {home / 'demo'}"
    raise CrowdedError(msg)
