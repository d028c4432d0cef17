"""Fixtures of the fault tests: a stack of processes, a row of the table, chance from one seed."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from gateway.cli.supervisor import Supervisor
from tests.faults import table
from tests.faults.nursery import Brood, Nursery
from tests.faults.stack import Stack
from tests.faults.table import Scenario


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All that starts processes here is run by `make faults`."""
    here = Path(__file__).parent
    for item in items:
        names = getattr(item, "fixturenames", ())
        if item.path.is_relative_to(here) and {"tmp_path", "scenario"} & set(names):
            item.add_marker("faults")


@pytest.fixture
def stack(tmp_path: Path, database_url: str) -> Iterator[Stack]:
    """Processes of this test's own, on this test's own database."""
    with Supervisor() as children:
        yield Stack(tmp_path, database_url, children)


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """Forks processes at once."""
    parent = Nursery()
    yield parent
    parent.close()


@pytest.fixture
def forked(tmp_path: Path, database_url: str, nursery: Nursery) -> Iterator[Stack]:
    """Like ``stack``; its processes start in a moment, and may have a crash point."""
    with Brood(nursery) as children:
        yield Stack(tmp_path, database_url, children)


class Begin(Protocol):
    """Begins a row of the table that is printed at the end."""

    def __call__(self, *, number: int, name: str) -> Scenario:
        """``number`` is the design's; fill in the fields, the test fails by itself if they do."""


@pytest.fixture
def scenario(request: pytest.FixtureRequest) -> Begin:
    """``row = scenario(number=3, name="…")``, then ``row.tries += 1``, ``row.lost = …``."""

    def begin(*, number: int, name: str) -> Scenario:
        row = Scenario(number=number, name=name)
        table.note(request.node, row)
        return row

    return begin


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """Chance of this test, from the seed of the run."""
    return random.Random(f"{os.environ[table.SEED]} {request.node.nodeid}")
