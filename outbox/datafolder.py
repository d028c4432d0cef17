"""The data folder: where it is, and how it is made without opening it more than it has to be."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

ROOT_HOME = Path("/var/lib/pruuf")
"""As root, everything that the unprivileged user has to reach lies below this."""


def default_data_dir(cwd: Path) -> Path:
    """``./.pruuf``; as root a folder of this directory's own that Postgres' user may reach."""
    if os.geteuid() == 0:
        name = hashlib.sha256(str(cwd.resolve()).encode()).hexdigest()[:12]
        return ROOT_HOME / name
    return cwd.resolve() / ".pruuf"


def make_data_dir(path: Path) -> None:
    """Make a data folder unless it is there; an existing folder keeps its mode.

    As root every folder made on the way may be passed, but not listed, by the unprivileged user
    who runs Postgres; otherwise the data folder is its owner's alone.
    """
    root = os.geteuid() == 0
    missing = [part for part in (path, *path.parents) if not part.exists()]
    for part in reversed(missing):
        try:
            part.mkdir()
        except FileExistsError:
            # Somebody else was faster, and sets the mode.
            continue
        if root or part == path:
            # Not at mkdir: the umask may narrow that.
            part.chmod(0o711 if root else 0o700)
