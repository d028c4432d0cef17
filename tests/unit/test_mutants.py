"""Every mutant still fits the tree, and the tests that have to catch it are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.mutants.patch import FOLDER, Mutant, PatchError, mutants, read

_ROOT = Path(__file__).parents[2]
_ALL = mutants()


@pytest.mark.parametrize("mutant", _ALL, ids=lambda mutant: mutant.name)
def test_a_mutant_fits_and_its_tests_are_there(mutant: Mutant) -> None:
    mutant.check(_ROOT)
    assert all(change.before != change.after for change in mutant.changes)
    for test in mutant.tests:
        path, _, name = test.partition("[")[0].partition("::")
        text = (_ROOT / path).read_text(encoding="utf-8") if path.endswith(".py") else ""
        assert text or (_ROOT / path).is_dir(), f"there is no {path}"
        assert not name or re.search(rf"^(?:async )?def {name}\(", text, re.MULTILINE), test


def test_there_are_enough_of_them_and_each_has_its_number() -> None:
    numbers = [mutant.name.partition("-")[0] for mutant in _ALL]
    assert numbers == [f"{n:02d}" for n in range(1, len(_ALL) + 1)]
    assert len(_ALL) >= 20
    assert len(_ALL) == len(list(FOLDER.glob("*.patch")))


def test_a_patch_that_fits_no_more_says_so(tmp_path: Path) -> None:
    patch = tmp_path / "01-x.patch"
    patch.write_text(
        "Breaks: nothing\nCaught by: tests/unit\n--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-one\n+two\n"
    )
    mutant = read(patch)
    (tmp_path / "x.py").write_text("one\n")
    mutant.apply(tmp_path)
    assert (tmp_path / "x.py").read_text() == "two\n"
    with pytest.raises(PatchError, match="found 0 times"):
        mutant.check(tmp_path)
