"""Child processes of one command: started together, ended in order, never left behind."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

from msgspec import Struct

from gateway.cli.outcome import Exit, clean, err
from gateway.cli.signals import undisturbed

_PR_SET_PDEATHSIG = 1
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
    keep: Sequence[int] = ()
    """Open files that it shall hold as long as it lives."""


def _bound_to(parent: int) -> Callable[[], None] | None:
    """Ends a child in order when we are killed and cannot do it ourselves (Linux)."""
    if sys.platform != "linux" or threading.current_thread() is not threading.main_thread():
        # The kernel means the thread that started it, not the process.
        return None
    control = ctypes.CDLL(None).prctl

    def bind() -> None:
        control(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return bind


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
                pass_fds=tuple(child.keep),
                preexec_fn=_bound_to(os.getpid()),  # noqa: PLW1509 - no lock is taken in it
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
        with undisturbed():
            process = Process(child)
            self._processes.append(process)
        return process

    def stop(self) -> None:
        """SIGTERM to all, then SIGKILL to who has not ended within the bound."""
        with undisturbed():
            for process in reversed(self._processes):
                process.terminate()
            until = time.monotonic() + _END_S
            for process in reversed(self._processes):
                try:
                    process.wait(max(0.1, until - time.monotonic()))
                except subprocess.TimeoutExpired:
                    err.print(f"{process.name} did not end in time: killed")
                    process.kill()
            self._processes.clear()

    def first_to_end(self) -> Process:
        """Wait until one of them ends by itself."""
        while True:
            for process in self._processes:
                if process.poll() is not None:
                    return process
            time.sleep(0.2)


def told(process: Process) -> Exit:
    """Say that a process ended by itself; the exit code that follows from it."""
    code = process.poll() or 0
    log = f"; its log: {process.child.log}" if process.child.log else ""
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    err.print(clean(f"✗ {process.name} ended by itself with {how}{log}"))
    return Exit(code) if code in {Exit.WRONG_USE, Exit.UNREACHABLE} else Exit.BAD_NEWS
