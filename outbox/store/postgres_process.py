"""The embedded Postgres' process: which one serves a cluster, on which port, under which locks.

A number in a file proves nothing: after a crash or a container's restart it may be another
process's. The process itself is looked at.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
from pathlib import Path
from typing import IO

from outbox.store.postgres_binaries import ELSEWHERE, EmbeddedPostgresError


def server_of(cluster: Path) -> int | None:
    """Process id of the server that runs on a cluster; null when none does."""
    try:
        first = (cluster / "postmaster.pid").read_text().partition("\n")[0].strip()
    except FileNotFoundError:
        return None
    return int(first) if first.isdigit() and _serves(int(first), cluster) else None


def port_of(cluster: Path) -> int:
    """The port that its server has written down."""
    try:
        return int((cluster / "postmaster.pid").read_text().splitlines()[3])
    except (FileNotFoundError, IndexError, ValueError):
        what = f"no server runs on {cluster}"
        raise EmbeddedPostgresError(what, remedy=f"Start it first, {ELSEWHERE}") from None


def signal_all(pid: int, number: signal.Signals) -> None:
    """Signal a server and its children (Linux)."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    for process in [pid, *map(int, children)]:
        os.kill(process, number)


def free_port(wanted: int) -> int:
    """The wanted loopback port if nobody listens there, else any free one."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            # As Postgres itself does: connections that are still closing do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            found: int = probe.getsockname()[1]
            return found
    what = "no port is free on 127.0.0.1"
    raise EmbeddedPostgresError(what, remedy=f"End what holds them, {ELSEWHERE}")


def private(path: Path) -> IO[str]:
    """Open a file of ours for writing; only its owner may read it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    return os.fdopen(descriptor, "w", encoding="utf-8")


def taken(file: IO[str], kind: int) -> bool:
    """Lock an open file if that can be had at once; it ends with the file or the process."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _serves(pid: int, cluster: Path) -> bool:
    process = Path(f"/proc/{pid}")
    if Path("/proc/self").exists():
        try:
            command = (process / "cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            return False
    else:
        asked = ["/bin/ps", "-p", str(pid), "-o", "command="]
        command = subprocess.run(asked, capture_output=True, check=False).stdout.split()  # noqa: S603 - a fixed command
    if not command[:1] or not command[0].endswith(b"postgres"):
        return False
    try:
        return process.joinpath("cwd").samefile(cluster)
    except OSError:
        return str(cluster).encode() in b" ".join(command)
