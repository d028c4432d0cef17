"""Child processes of one command: started together, ended in order, never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from msgspec import Struct

from gateway.cli.outcome import err

_END_S = 25.0
"""A little more than a relay's drain."""


class Child(Struct, frozen=True, kw_only=True):
    """What to start."""

    name: str
    command: Sequence[str]
    environ: Mapping[str, str]
    cwd: str | None = None
    log: str | None = None
    """A file for its output; null shares ours."""


class Process:
    """A running child."""

    def __init__(self, child: Child) -> None:
        """Start it in a group of its own, so that Ctrl-C reaches us alone."""
        self.name = child.name
        self.child = child
        output = None if child.log is None else open(child.log, "ab")  # noqa: SIM115, PTH123 - the child's
        try:
            self._popen = subprocess.Popen(  # noqa: S603 - our own command
                list(child.command),
                env=dict(child.environ),
                cwd=child.cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        finally:
            if output is not None:
                output.close()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._popen.pid

    def poll(self) -> int | None:
        """Exit code, or null while it runs."""
        return self._popen.poll()

    def wait(self, timeout_s: float | None = None) -> int:
        """Wait for the end."""
        return self._popen.wait(timeout_s)

    def terminate(self) -> None:
        """Ask it to end in order."""
        if self.poll() is None:
            self._popen.terminate()

    def kill(self) -> None:
        """End it at once, with all that it started."""
        if self.poll() is None:
            os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.wait()


class Supervisor:
    """Starts children and ends them, the last one first."""

    def __init__(self) -> None:
        """Nothing runs yet."""
        self._processes: list[Process] = []

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End all."""
        self.stop()

    def start(self, child: Child) -> Process:
        """Start one more."""
        process = Process(child)
        self._processes.append(process)
        return process

    def stop(self) -> None:
        """SIGTERM to all, then SIGKILL to who has not ended within the bound."""
        for process in reversed(self._processes):
            process.terminate()
        until = time.monotonic() + _END_S
        for process in reversed(self._processes):
            try:
                process.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                err.print(f"[yellow]{process.name} did not end in time: killed[/]")
                process.kill()
        self._processes.clear()

    def run(self) -> int:
        """Wait for Ctrl-C or SIGTERM (0), or for the first child that ends by itself (1)."""
        ended = False

        def end(*_: object) -> None:
            nonlocal ended
            ended = True

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, end)
        while not ended:
            for process in self._processes:
                code = process.poll()
                if code is not None:
                    err.print(f"[bold red]✗[/] {process.name} ended by itself with exit code {code}")
                    return 1
            time.sleep(0.2)
        return 0
