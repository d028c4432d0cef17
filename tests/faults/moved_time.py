"""Moves the time of day of a Postgres server, of our own processes and of Stripe, all together.

The server runs under libfaketime, our processes under `altered`, Stripe has a clock of its own;
monotonic clocks stay as they are, so nobody waits longer than before.
"""

from __future__ import annotations

import json
import mmap
import struct
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from outbox.store import postgres_binaries
from tests.faults import altered

DAY_S = 86_400.0
_LIBRARIES = ("/usr/lib", "/usr/lib64", "/usr/local/lib")


def _library() -> Path:
    for folder in _LIBRARIES:
        for found in Path(folder).glob("**/faketime/libfaketime.so.1"):
            return found
    pytest.skip("needs libfaketime: apt-get install faketime")


class MovedTime:
    """One time for all who are under it."""

    def __init__(self, folder: Path) -> None:
        """``folder``: where the server's user may read."""
        self.ahead_s = 0.0
        self._told, self._ours = folder / "faketime", folder / "clock"
        self._ours.write_bytes(struct.pack("d", 0.0))
        with self._ours.open("r+b") as file:
            self._view = mmap.mmap(file.fileno(), 0)
        self._tell()

    def _tell(self) -> None:
        # Whole or not at all: the server reads it at each look at its clock.
        draft = self._told.with_suffix(".new")
        draft.write_text(f"+{self.ahead_s:.0f}\n")
        draft.chmod(0o644)
        draft.replace(self._told)
        struct.pack_into("d", self._view, 0, self.ahead_s)

    def environ(self) -> dict[str, str]:
        """For processes of ours."""
        return {altered.CLOCK: str(self._ours)}

    @contextmanager
    def for_servers(self) -> Iterator[None]:
        """Postgres servers that are started in here live by it."""
        given = {
            "LD_PRELOAD": str(_library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._told),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DISABLE_SHM": "1",
            "NO_FAKE_STAT": "1",
        }
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(postgres_binaries, "_ENVIRON", {**postgres_binaries._ENVIRON, **given})
            yield

    def go(self, seconds: float, *, stripe: str) -> None:
        """Let time pass everywhere; ``stripe``: address of the simulators.

        Ours first: what Stripe does of that time, it does then, as its webhooks are signed.
        """
        whole = max(1, round(seconds))
        self.ahead_s += whole
        self._tell()
        request = urllib.request.Request(
            f"{stripe}/_sim/clock", data=json.dumps({"advance_s": whole}).encode(), method="POST"
        )
        with urllib.request.urlopen(request, timeout=300) as answer:
            answer.read()
