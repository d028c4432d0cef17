"""A cluster of the embedded Postgres: made whole or not at all, never deleted, never misread."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path

from outbox.store.postgres_binaries import (
    ELSEWHERE,
    Account,
    EmbeddedPostgresError,
    binaries,
    run,
    version,
)
from outbox.store.postgres_process import private

SUPERUSER = "pruuf"
_CONFIGURATION = """
# Written once, when the cluster was made; later changes are kept.
listen_addresses = '127.0.0.1'
max_connections = 200
shared_buffers = 256MB
wal_level = replica
max_wal_size = 2GB
autovacuum_naptime = 5s
password_encryption = 'scram-sha-256'
logging_collector = off
log_min_messages = warning
"""


def cluster_of(home: Path) -> Path:
    """The cluster's folder in a data folder."""
    return home / "postgres"


def password_of(home: Path) -> str:
    """The superuser's password; only the data folder's owner may read it."""
    path = home / "postgres.password"
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        what = f"{path} is gone, without which nobody gets into {cluster_of(home)}"
        raise EmbeddedPostgresError(what, remedy=f"Put it back, {ELSEWHERE}") from None


def make_cluster(home: Path, account: Account | None) -> None:
    """Make it aside and move it into place whole, so that no crash leaves half of one.

    The caller holds the lock of the data folder.
    """
    for left in home.glob(".initial-*"):
        shutil.rmtree(left)
    draft = home / f".initial-{os.getpid()}"
    cluster, handed = draft / "postgres", draft / "password"
    draft.mkdir()
    draft.chmod(0o711)
    cluster.mkdir(mode=0o700)
    password = secrets.token_urlsafe(24)
    _write(handed, password)
    if account is not None:
        for path in (cluster, handed):
            os.chown(path, account.uid, account.gid)
    try:
        code, said = run(
            binaries(account) / "initdb",
            f"--pgdata={cluster}",
            f"--username={SUPERUSER}",
            "--auth=scram-sha-256",
            f"--pwfile={handed}",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--data-checksums",
            account=account,
        )
        if code != 0:
            what = f"initdb failed below {home} (exit {code})"
            raise EmbeddedPostgresError(what, said=said, remedy=_remedy(home, account))
        with (cluster / "postgresql.conf").open("a") as file:
            file.write(_CONFIGURATION)
            file.flush()
            os.fsync(file.fileno())
        _write(home / "postgres.password", password + "\n")
        cluster.rename(cluster_of(home))
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def check_version(cluster: Path) -> None:
    """Refuse a folder that is no cluster, or one of another major version."""
    try:
        found = (cluster / "PG_VERSION").read_text().strip()
    except FileNotFoundError:
        what = f"{cluster} holds no Postgres cluster"
        remedy = f"Move it away and run this again, {ELSEWHERE}"
        raise EmbeddedPostgresError(what, remedy=remedy) from None
    major = version().partition(".")[0]
    if found != major:
        what = f"{cluster} was made by Postgres {found}, and {major} is installed"
        remedy = f"Dump it with {found} and restore it, move it away to begin anew, {ELSEWHERE}"
        raise EmbeddedPostgresError(what, remedy=remedy)


def _write(path: Path, text: str) -> None:
    with private(path) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _remedy(home: Path, account: Account | None) -> str:
    closed = None if account is None else _closed_to(account, home)
    if account is None or closed is None:
        return f"Mend what is named above, {ELSEWHERE}"
    return (
        f"{closed} is closed to {account.name}, who runs Postgres for root, and stays so:"
        f" set PRUUF_DATA_DIR to a folder that {account.name} may reach, {ELSEWHERE}"
    )


def _closed_to(account: Account, folder: Path) -> Path | None:
    """The outermost folder on the way that the account may not pass."""
    for part in reversed((folder, *folder.parents)):
        state = part.stat()
        shift = 6 if state.st_uid == account.uid else 3 if state.st_gid == account.gid else 0
        if not (state.st_mode >> shift) & 1:
            return part
    return None
