"""The table of the fault tests: what it shows, what it refuses, and that workers fill it too."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.faults.table import FILE, SEED, Scenario, lines

_ROOT = Path(__file__).parents[2]
_TESTS = """
import os
from tests.faults.conftest import chance, scenario

def test_later(scenario, chance):
    row = scenario(number=3, name="paused")
    row.tries = chance.randrange(1, 1_000_000)

def test_sooner(scenario):
    row = scenario(number=1, name="killed")
    row.tries, row.lost, row.recovered_s = 2, 1, 1.5
"""


def _row(**fields: object) -> dict[str, Any]:
    scenario = msgspec.convert({"number": 1, "name": "killed", "tries": 7, **fields}, Scenario)
    return {**msgspec.to_builtins(scenario), "passed": True, "test": "t"}


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({}, "nothing was tried"),
        ({"tries": 1, "lost": 2}, "2 lost"),
        ({"tries": 1, "duplicated": 2, "explained": 1}, "2 duplicated, 1 of them explained"),
        ({"tries": 1, "duplicated": 2, "explained": 2}, None),
    ],
)
def test_a_row_without_tries_or_with_a_loss_is_no_success(
    fields: dict[str, int], why: str | None
) -> None:
    assert msgspec.convert({"number": 1, "name": "n", **fields}, Scenario).wrong() == why


def test_the_table_fits_in_100_columns() -> None:
    rows = [
        _row(name="SIGKILL of one of several relays " * 4, why="because " * 40, tries=123_456),
        _row(number=15, duplicated=12, explained=12, recovered_s=123.45),
    ]
    shown = list(lines(rows))
    assert max(map(len, shown)) <= 100
    assert shown[-1].split() == ["15", "killed", "7", "0", "12", "12", "123.5", "s"]


@pytest.mark.parametrize("workers", [0, 2])
def test_all_rows_come_together_and_a_loss_fails_its_test(tmp_path: Path, workers: int) -> None:
    (tmp_path / "test_it.py").write_text(_TESTS)
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "tests.faults.table", "-n", str(workers)],
        env={**os.environ, "PYTHONPATH": str(_ROOT), SEED: "11", FILE: str(tmp_path / "t.json")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 1, run.stdout + run.stderr
    assert "1 failed, 1 passed" in run.stdout
    assert f"{SEED}=11" in run.stdout
    written = json.loads((tmp_path / "t.json").read_text())
    assert written["seed"] == "11"
    assert [(row["name"], row["passed"]) for row in written["scenarios"]] == [
        ("killed", False),
        ("paused", True),
    ]
    assert written["scenarios"][1]["tries"] == 223_491
