"""Outcomes of the objectives by day."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import psycopg

from observability.burn import Outcomes
from outbox.store.sql import statement

Days = Mapping[str, Mapping[datetime, Outcomes]]
"""By objective, then by the beginning of the UTC day; a day without any is missing."""


def days(connection: psycopg.Connection[Any], slos: list[str], *, days: int) -> Days:
    """The newest ``days`` days and today."""
    found: defaultdict[str, defaultdict[datetime, dict[str, int]]] = defaultdict(
        lambda: defaultdict(dict)
    )
    for slo, day, outcome, n in connection.execute(
        statement("seen_days"), {"slos": slos, "days": days}
    ):
        found[slo][day][outcome] = n
    return found
