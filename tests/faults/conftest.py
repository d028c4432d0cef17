"""Fixtures of the fault tests: a stack of processes that never outlives its test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.cli.supervisor import Supervisor
from tests.faults.stack import Stack


@pytest.fixture
def stack(tmp_path: Path, database_url: str) -> Iterator[Stack]:
    """Processes of this test's own, on this test's own database."""
    with Supervisor() as children:
        yield Stack(tmp_path, database_url, children)
