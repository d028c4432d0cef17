"""``pruuf`` as people run it: a process of its own, in a folder of its own, with clean settings."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from outbox.settings import NAMES

_FOREIGN = ("PRUUF_", "TWILIO_", "FCM_")
_STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
KEY = "A" * 43


class Done(Struct, frozen=True):
    """How a verb ended."""

    code: int
    out: str
    err: str

    def ended(self, code: int) -> Done:
        """Itself, if it ended as it should, without a traceback and in plain lines."""
        said = f"exit {self.code}, expected {code}\n{self.out}\n{self.err}"
        assert self.code == code, said
        assert "Traceback" not in self.err + self.out, said
        assert not _STEERING.search(self.out), repr(self.out)
        assert not _STEERING.search(self.err), repr(self.err)
        return self


class Cli:
    """Runs verbs."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.environ = {
            name: value
            for name, value in os.environ.items()
            if name not in NAMES and not name.startswith(_FOREIGN)
        }
        self.environ |= {"PRUUF_DATA_DIR": str(folder / "data"), "TZ": "UTC", **settings}

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "gateway.cli.main", *arguments]

    def run(
        self,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        within_s: float = 120,
    ) -> Done:
        done = subprocess.run(
            self.command(*arguments),
            input=stdin,
            capture_output=True,
            cwd=self.folder,
            env={**self.environ, **(env or {})},
            timeout=within_s,
            check=False,
        )
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode())

    @contextmanager
    def started(
        self, *arguments: str, env: Mapping[str, str] | None = None
    ) -> Iterator[subprocess.Popen[bytes]]:
        """A process that runs on; killed at the end if it still does."""
        process = subprocess.Popen(
            self.command(*arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.folder,
            env={**self.environ, **(env or {})},
            start_new_session=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate(timeout=60)


def ended(process: subprocess.Popen[bytes], *, within_s: float = 60) -> Done:
    """Wait for a process that was started."""
    out, err = process.communicate(timeout=within_s)
    return Done(process.returncode, out.decode(), err.decode())


def stopped(process: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> Done:
    """Ask it to end, and wait until it has."""
    process.send_signal(number)
    return ended(process)


def until(condition: Callable[[], bool], *, what: str, within_s: float = 60) -> None:
    """Wait for something that has no signal of its own."""
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, f"waited for {what}"
        time.sleep(0.05)


def answers(url: str) -> bool:
    """Whether an address answers with success."""
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def processes_of(folder: Path) -> Mapping[int, str]:
    """Processes that were started for a data folder, by their environment or their command."""
    mark, found = str(folder).encode(), {}
    for process in Path("/proc").iterdir():
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        try:
            command = (process / "cmdline").read_bytes()
            text = command + (process / "environ").read_bytes()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if mark in text and command:
            found[int(process.name)] = command.replace(b"\0", b" ").decode(errors="replace")
    return found
