"""Processes forked from a parent that has imported everything: each is the real ``main``, at once.

A fresh interpreter takes a second or two to import what a relay needs; a thousand of them would
take the machine away from what is tested. The parent imports, opens nothing, has one thread, and
forks; the child then runs ``gateway.cli.main.main`` as the console command does.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from gateway.cli.supervisor import _PR_SET_PDEATHSIG, Child, Process, Supervisor
from tests.faults import altered, striking

_MODULE = "gateway.cli.main"


class Forked(Process):
    """A child of the nursery; the same to hold as any other."""

    def __init__(self, child: Child, pid: int, nursery: Nursery) -> None:
        self.name = child.name
        self.child = child
        self._pid = pid
        self._nursery = nursery
        self._code: int | None = None

    @property
    def pid(self) -> int:
        return self._pid

    def poll(self) -> int | None:
        if self._code is None:
            self._code = self._nursery.ask({"poll": self._pid})["code"]
        return self._code

    def wait(self, timeout_s: float | None = None) -> int:
        until = None if timeout_s is None else time.monotonic() + timeout_s
        while (code := self.poll()) is None:
            if until is not None and time.monotonic() > until:
                raise subprocess.TimeoutExpired(self.name, timeout_s or 0.0)
            time.sleep(0.01)
        return code

    def terminate(self) -> None:
        if self.poll() is None:
            os.kill(self._pid, signal.SIGTERM)

    def kill(self) -> None:
        if self.poll() is None:
            os.killpg(self._pid, signal.SIGKILL)
        self.wait()


class Nursery:
    """The parent; one for all tests of a run."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", "tests.faults.nursery", str(theirs.fileno())]
            keep = (theirs.fileno(),)
            child = Child(name="nursery", command=command, environ=os.environ, keep=keep)
            self._parent = Process(child)
        self._channel = ours
        self._lines = ours.makefile("r")
        self._lock = threading.Lock()
        assert json.loads(self._lines.readline()) == {"ready": True}

    def ask(self, order: dict[str, Any]) -> dict[str, Any]:
        """Send an order; its answer."""
        with self._lock:
            self._channel.sendall(json.dumps(order).encode() + b"\n")
            answer: dict[str, Any] = json.loads(self._lines.readline())
        return answer

    def close(self) -> None:
        """End it, and whatever it has left."""
        self._lines.close()
        self._channel.close()
        self._parent.wait(30.0)


class Brood(Supervisor):
    """Children of one test: our own verbs by a fork, anything else as ever."""

    def __init__(self, nursery: Nursery) -> None:
        super().__init__()
        self._nursery = nursery

    def start(self, child: Child) -> Process:
        if list(child.command[1:3]) != ["-m", _MODULE] or child.keep:
            return super().start(child)
        order = {
            "arguments": list(child.command[3:]),
            "environ": dict(child.environ),
            "cwd": child.cwd,
            "log": child.log,
        }
        forked = Forked(child, self._nursery.ask({"start": order})["pid"], self._nursery)
        self._processes.append(forked)
        return forked

    def stop(self) -> None:
        """End all at once: nothing of them is needed any more, and one that is stopped hears no
        signal but this.
        """
        for process in reversed(self._processes):
            process.kill()
        self._processes.clear()


def _serve(channel: socket.socket) -> None:
    """Fork what is ordered until the other side is gone; then take all of it along."""
    codes: dict[int, int | None] = {}
    channel.sendall(b'{"ready": true}\n')
    for line in channel.makefile("r"):
        order = json.loads(line)
        if "poll" in order:
            pid = order["poll"]
            if codes[pid] is None:
                found, status = os.waitpid(pid, os.WNOHANG)
                codes[pid] = os.waitstatus_to_exitcode(status) if found else None
            answer = {"code": codes[pid]}
        else:
            pid = os.fork()
            if pid == 0:
                _become(channel, **order["start"])
            os.setpgid(pid, pid)
            codes[pid] = None
            answer = {"pid": pid}
        channel.sendall(json.dumps(answer).encode() + b"\n")
    for pid, code in codes.items():
        if code is None:
            os.killpg(pid, signal.SIGKILL)


def _become(
    channel: socket.socket,
    *,
    arguments: list[str],
    environ: dict[str, str],
    cwd: str | None,
    log: str | None,
) -> NoReturn:
    code = 1
    try:
        os.setpgid(0, 0)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        output = os.open(log or os.devnull, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.dup2(output, 1)
        os.dup2(output, 2)
        channel.close()
        if cwd is not None:
            os.chdir(cwd)
        os.environ.clear()
        os.environ.update(environ)
        sys.argv = ["pruuf", *arguments]
        striking.arm(environ)
        altered.arm(environ)
        from gateway.cli.main import main  # noqa: PLC0415 - imported long ago, see below

        main()
    except BaseException:  # noqa: BLE001 - a fork must never return into its parent's code
        traceback.print_exc()
        sys.stderr.flush()
    os._exit(code)


def _import_all() -> None:
    # As late as the verbs do it, and before the first fork.
    import gateway.server  # noqa: F401, PLC0415
    import outbox.relay.process  # noqa: PLC0415
    import outbox.simulators.server  # noqa: F401, PLC0415
    from gateway.cli import verbs  # noqa: PLC0415

    group = typer.main.get_command(verbs.app)
    assert isinstance(group, TyperGroup)
    assert all(group.commands.values())

    threads = threading.active_count()
    assert threads == 1, f"{threads} threads: a fork would take one of them along"


if __name__ == "__main__":
    # Ended by its children's end and by its channel's; Ctrl-C and SIGTERM are meant for those.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _import_all()
    _serve(socket.socket(fileno=int(sys.argv[1])))
