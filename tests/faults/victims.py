"""Processes that end or stop at a crash point, and time that passes for those that are gone."""

from __future__ import annotations

import json
import signal
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import psycopg

from gateway.cli.supervisor import Process
from tests.faults import striking
from tests.faults.point import Point
from tests.faults.points import POINTS
from tests.faults.stack import Stack, wait_for

_REACHED_WITHIN_S = 30.0


@contextmanager
def armed(
    stack: Stack,
    point: Point,
    *,
    does: Literal["KILL", "STOP"] = "KILL",
    only: str = "",
) -> Iterator[Path]:
    """Processes that are started in here meet the point; the file that says so.

    ``only``: at a call whose arguments show this.
    """
    note = stack.folder / f"reached-{list(POINTS).index(point.name)}-{does}"
    added = {striking.NAME: point.name, striking.SIGNAL: does, striking.NOTE: str(note)}
    added[striking.ONLY] = only
    stack.environ.update(added)
    try:
        yield note
    finally:
        for name in added:
            del stack.environ[name]


def killed(victim: Process, point: Point, note: Path) -> None:
    """Wait until it was killed there, by itself."""
    wait_for(
        lambda: victim.poll() is not None,
        within_s=_REACHED_WITHIN_S,
        what=f"{victim.name} ends at {point.name!r}",
    )
    assert victim.poll() == -signal.SIGKILL, f"{victim.name} ended with {victim.poll()}"
    assert note.read_text() == f"{point.name}\n"


def stopped(victim: Process, point: Point, note: Path) -> None:
    """Wait until it has stopped there."""
    wait_for(note.exists, within_s=_REACHED_WITHIN_S, what=f"{victim.name} at {point.name!r}")
    wait_for(
        lambda: Path(f"/proc/{victim.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T",
        within_s=_REACHED_WITHIN_S,
        what=f"{victim.name} stops",
    )


def let_pass(stack: Stack, which: str) -> None:
    """Let the time come for due rows; ``which`` is a condition on ``due``."""
    _execute(stack, f"UPDATE due SET due_at = now() WHERE due_at > now() AND ({which})")


def freeze(stack: Stack) -> None:
    """Let no time come for what is to be looked at later, while the next victim is made ready."""
    _execute(
        stack,
        "UPDATE due SET due_at = due_at + interval '1 hour',"
        " receipt_until = receipt_until + interval '1 hour'"
        " WHERE due_at BETWEEN now() AND now() + interval '30 minutes'",
    )


def thaw(stack: Stack, *, lease_s: float) -> None:
    """Time goes on as if the relays that are gone had claimed what they hold a moment ago."""
    _execute(
        stack,
        "UPDATE due SET due_at = CASE WHEN owner IS NULL"
        " THEN greatest(now(), due_at - interval '1 hour')"
        f" ELSE now() + {lease_s} * interval '1 second' END,"
        " receipt_until = receipt_until - interval '1 hour'"
        " WHERE due_at BETWEEN now() + interval '30 minutes' AND now() + interval '90 minutes'",
    )


def _execute(stack: Stack, sql: str) -> None:
    with psycopg.connect(stack.database_url, autocommit=True) as connection:
        connection.execute(sql.encode())


LEASES = "owner IS NOT NULL"
"""Of relays that are gone, where none is at work."""
QUESTIONS = "owner IS NULL AND work = 2"
"""Calls of unknown outcome, to be asked about; nothing of them is under way any more."""
LATE = "owner IS NULL AND work = 1"
"""Texts whose receipt is awaited: before their deadline they are asked about."""


def ask(stack: Stack, method: str, path: str, body: object = None) -> dict[str, Any]:
    """One request to the gateway; raises `OSError` when there is no answer."""
    request = urllib.request.Request(
        f"{stack.gateway}{path}",
        data=None if body is None else json.dumps(body).encode(),
        method=method,
        headers={"Authorization": f"Bearer {stack.key}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        said = answer.read()
    answered: dict[str, Any] = json.loads(said) if said else {}
    return answered
