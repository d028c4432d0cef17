"""The code of the last closed issue, kept in the tree: a clone without history has it, too.

``python -m tests.faults.previous TAG`` keeps that of another tag. What no process of it needs to
run (its dashboard, the browser's script) is left out.
"""

from __future__ import annotations

import lzma
import os
import subprocess
import sys
import tarfile
from pathlib import Path

ARCHIVE = Path(__file__).with_name("previous.tar.xz")
_ROOT = Path(__file__).parents[2]
_PACKAGES = ("gateway", "outbox", "observability")
_LEFT_OUT = (":!gateway/static",)
_MIGRATIONS = "outbox/store/migrations/versions/"


def unpack(folder: Path) -> Path:
    """Unpack the code; the folder to import it from."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return folder


def migrate(code: Path, database_url: str) -> None:
    """Bring the schema up as that code does."""
    program = "import sys; from outbox.store.migrate import migrate; migrate(sys.argv[1])"
    command = [sys.executable, "-c", program, database_url]
    subprocess.run(command, cwd=code, env={**os.environ, "PYTHONPATH": str(code)}, check=True)


def revision() -> str:
    """The schema's newest revision in that code."""
    with tarfile.open(ARCHIVE) as archive:
        names = [Path(name) for name in archive.getnames() if name.startswith(_MIGRATIONS)]
    return max(name.stem.partition("_")[0] for name in names if name.name[0].isdigit())


def keep(tag: str) -> None:
    """Keep the code of a tag."""
    command = ["git", "archive", tag, *_PACKAGES, *_LEFT_OUT]
    made = subprocess.run(command, cwd=_ROOT, check=True, stdout=subprocess.PIPE).stdout
    ARCHIVE.write_bytes(lzma.compress(made, preset=9 | lzma.PRESET_EXTREME))


if __name__ == "__main__":
    keep(sys.argv[1])
