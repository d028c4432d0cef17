"""Uses the embedded Postgres in a process of its own; the tests of it run this.

``FOLDER [USER]``: ensures a server, prints what became of it as JSON, and leaves when its input
ends. With a user it first becomes that user, for which it has to be root.
"""

from __future__ import annotations

import json
import os
import pwd
import sys
import tempfile
from pathlib import Path

import psycopg

from outbox.store import postgres_binaries, postgres_cluster
from outbox.store.embedded import EmbeddedPostgres, EmbeddedPostgresError


def become(name: str) -> None:
    """Give up root for good; what root alone may read has been read before.

    The interpreter and the packages may lie where the user cannot go: one round as root loads
    every module and finds programs that the user may run.
    """
    user = pwd.getpwnam(name)
    with tempfile.TemporaryDirectory(dir=Path(sys.argv[1]).parent.parent) as folder:
        Path(folder).chmod(0o711)
        warm = EmbeddedPostgres(Path(folder) / "data")
        warm.ensure()
        warm.stop(mode="immediate")
    account = postgres_binaries.Account(user.pw_name, user.pw_uid, user.pw_gid)
    package = postgres_binaries.binaries(account).parent.parent
    version = postgres_binaries.version()
    vars(postgres_binaries)["_installed"] = lambda: package
    vars(postgres_cluster)["version"] = lambda: version
    os.setgroups([])
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)


def main() -> None:
    """Run once; exit code 3 and the error on stdout when there is no server."""
    if len(sys.argv) > 2:
        become(sys.argv[2])
    server = EmbeddedPostgres(Path(sys.argv[1]))
    try:
        url, started = server.ensure()
    except EmbeddedPostgresError as error:
        print(json.dumps({"error": str(error)}), flush=True)
        sys.exit(3)
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (who integer)")
        connection.execute("INSERT INTO kept VALUES (%s)", (os.getuid(),))
    print(json.dumps({"url": url, "started": started, "uid": os.geteuid()}), flush=True)
    sys.stdin.read()
    server.leave()


if __name__ == "__main__":
    main()
