"""``python -m tests.mutants [NAME…]``: break the tree on purpose, and see which test notices.

Each mutant lives in a copy of the tree. The tests that it names run first, all others only where
those pass. Exit code 1 if one survives, or the tests fail without any.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from msgspec import Struct

from tests.mutants.patch import Mutant, PatchError, mutants

_ROOT = Path(__file__).parents[2]
_AT_ONCE = max(1, (os.cpu_count() or 1) // 2 + 1)
_REST = ("tests/unit", "tests/contract", "tests/integration", "tests/faults/model")
"""What runs where the named tests saw nothing."""
_ITSELF = "tests/unit/test_mutants.py"
_LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv*", ".*_cache", ".hypothesis", ".pruuf", "__pycache__", "node_modules"
)
_FAILED = re.compile(r"^(?:FAILED|ERROR) (tests/.+?)(?: - .*)?$", re.MULTILINE)
_PASSED, _TESTS_FAILED = 0, 1
_NO_END = -1
_LONGEST_S = 1_800


class Fate(Struct, frozen=True):
    """What became of one mutant."""

    name: str
    by: str | None
    """The test that noticed; null when none did."""
    took_s: float
    wrong: str | None = None
    """Why nothing can be said."""


def _run(root: Path, tests: tuple[str, ...]) -> tuple[int, str]:
    """Pytest in a copy of the tree, until the first failure."""
    options = ["-x", "-q", "-p", "no:cacheprovider", f"--ignore={_ITSELF}"]
    try:
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "pytest",
                *options,
                "-m",
                "not long and not soak and not browser",
                *tests,
            ],
            cwd=root,
            # Processes that tests start elsewhere have to be of the copy, too.
            env={**os.environ, "PYTHONPATH": str(root), "PRUUF_MODEL_SHRINK": "no"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_LONGEST_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return _NO_END, f"no end after {_LONGEST_S} s"
    return done.returncode, done.stdout


def _copy(folder: Path) -> Path:
    root = folder / "tree"
    shutil.copytree(_ROOT, root, ignore=_LEFT_OUT, symlinks=True)
    return root


def _try(mutant: Mutant) -> Fate:
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="pruuf-mutant-") as folder:
        root = _copy(Path(folder))
        try:
            mutant.apply(root)
        except PatchError as error:
            return Fate(mutant.name, None, time.monotonic() - began, str(error))
        for tests in (mutant.tests, _REST):
            code, said = _run(root, tests)
            by = _first(said) if code == _TESTS_FAILED else None
            if code not in {_PASSED, _TESTS_FAILED}:
                wrong = f"pytest ended with {code}:\n{said[-2000:]}"
                return Fate(mutant.name, None, time.monotonic() - began, wrong)
            if by is not None and tests is _REST and not _passes(by):
                wrong = f"{by} fails without it, too"
                return Fate(mutant.name, None, time.monotonic() - began, wrong)
            if by is not None:
                break
    return Fate(mutant.name, by, time.monotonic() - began)


def _first(said: str) -> str:
    """The test that failed first."""
    found = _FAILED.search(said)
    return found[1] if found else "an unnamed test"


def _passes(*tests: str) -> bool:
    """Whether tests pass as long as nothing is broken; what they say if not is printed."""
    with tempfile.TemporaryDirectory(prefix="pruuf-mutant-") as folder:
        code, said = _run(_copy(Path(folder)), tests)
    if code != _PASSED:
        print(said[-4000:])
    return code == _PASSED


def _sound(chosen: list[Mutant]) -> bool:
    """The tests that are named pass as long as nothing is broken."""
    tests = sorted({test for mutant in chosen for test in mutant.tests})
    files = {test for test in tests if "::" not in test}
    # A file's own tests need no naming beside it.
    wanted = tuple(t for t in tests if t in files or t.partition("::")[0] not in files)
    if _passes(*wanted):
        return True
    print("the tests fail although nothing is broken")
    return False


def main(names: list[str]) -> int:
    """Try the mutants of these names, or all; the exit code."""
    chosen = mutants(names)
    if not chosen:
        print(f"no mutant is called {', '.join(names)}")
        return 2
    print(f"{len(chosen)} mutants; first the tests without any", flush=True)
    if not _sound(chosen):
        return 1
    wide = max(len(mutant.name) for mutant in chosen)
    fates = []
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for fate in pool.map(_try, chosen):
            fates.append(fate)
            by = fate.by or ("NOT TRIED: " + fate.wrong if fate.wrong else "SURVIVED")
            print(f"{fate.name:<{wide}}  {fate.took_s:5.0f} s  {by}", flush=True)
    caught = sum(fate.by is not None for fate in fates)
    print(f"{caught} of {len(fates)} caught")
    return 0 if caught == len(fates) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
