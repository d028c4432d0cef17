"""What the fault tests found, as one table at the end of a run; and the chance that they play with.

Loaded by tests/conftest.py, as the table is printed by the process that runs no test itself where
several work at once.
"""

from __future__ import annotations

import json
import os
import random
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest

SEED = "PRUUF_FAULTS_SEED"
FILE = "PRUUF_FAULTS_JSON"
_WIDTH = 100
_NAME_WIDTH = 57


class Scenario(msgspec.Struct, kw_only=True):
    """One row of the table; a test fills it in while it judges."""

    number: int
    """Of the table in the design: what the system must survive."""
    name: str
    tries: int = 0
    """How often the fault was done: kills, pauses, refusals."""
    lost: int = 0
    """Accepted, and in no final state or at no provider."""
    duplicated: int = 0
    """At a provider more often than was wanted."""
    explained: int = 0
    """Of the duplicated: those that the design allows here, each of them looked at."""
    why: str = ""
    """What explains them, or what else a reader has to know."""
    recovered_s: float | None = None
    """From the end of the fault until everything was as if it had not been; null: nothing to do."""

    def wrong(self) -> str | None:
        """Why this row is no success; null if it is one."""
        if self.tries < 1:
            return "nothing was tried"
        if self.lost:
            return f"{self.lost} lost"
        if self.duplicated > self.explained:
            return f"{self.duplicated} duplicated, {self.explained} of them explained"
        return None


_SCENARIOS = pytest.StashKey[list[Scenario]]()
_ROWS = pytest.StashKey[list[dict[str, Any]]]()


def note(item: pytest.Item, scenario: Scenario) -> None:
    """Take a scenario of this test into the table."""
    item.stash.setdefault(_SCENARIOS, []).append(scenario)


def pytest_configure(config: pytest.Config) -> None:
    """Choose the seed before there are workers: they inherit it."""
    os.environ.setdefault(SEED, str(random.randrange(2**32)))
    config.stash[_ROWS] = []
    config.pluginmanager.register(_Collected(config), "pruuf-fault-rows")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:  # noqa: ANN401
    """A test that passed has failed all the same if a row of it says so."""
    report = yield
    scenarios = item.stash.get(_SCENARIOS, [])
    if report.when == "call":
        wrong = [f"{s.number} {s.name}: {why}" for s in scenarios if (why := s.wrong())]
        if report.passed and wrong:
            report.outcome = "failed"
            report.longrepr = "\n".join(wrong)
        for scenario in scenarios:
            row = {**msgspec.to_builtins(scenario), "passed": report.passed, "test": item.nodeid}
            report.user_properties.append(("scenario", row))
    return report


class _Collected:
    """Hears of every report, also of those that workers send."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            for name, value in report.user_properties:
                if name == "scenario" and isinstance(value, dict):
                    self._config.stash[_ROWS].append(value)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter,
    config: pytest.Config,
) -> None:
    """Print the table, and write it where the environment names a file."""
    rows = config.stash[_ROWS]
    rows.sort(key=lambda row: (row["number"], row["name"], row["test"]))
    if not rows:
        return
    seed = os.environ[SEED]
    terminalreporter.section(f"faults, {SEED}={seed}")
    for line in lines(rows):
        terminalreporter.write_line(line)
    if name := os.environ.get(FILE):
        Path(name).write_text(json.dumps({"seed": seed, "scenarios": rows}, indent=2) + "\n")


def lines(rows: Iterable[dict[str, Any]]) -> Iterable[str]:
    """The table, in 100 columns."""
    head = _line("#", "scenario", "tries", "lost", "twice", "explained", "recovery")
    yield head
    yield "-" * _WIDTH
    for row in rows:
        took = row["recovered_s"]
        first, *others = textwrap.wrap(row["name"], _NAME_WIDTH)
        yield _line(
            row["number"],
            first,
            row["tries"],
            row["lost"],
            row["duplicated"],
            row["explained"],
            ("–" if took is None else f"{took:.1f} s") if row["passed"] else "FAILED",
        )
        yield from (_line("", other, *[""] * 5) for other in others)
        yield from (f"      {part}" for part in textwrap.wrap(row["why"], _WIDTH - 6))


def _line(*columns: object) -> str:
    number, name, tries, lost, twice, explained, recovery = map(str, columns)
    return (
        f"{number:>2}  {name:<{_NAME_WIDTH}}{tries:>6} {lost:>5} {twice:>6} {explained:>9}"
        f" {recovery:>9}"
    ).rstrip()
