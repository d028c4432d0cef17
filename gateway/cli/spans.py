"""How long something lasts, as people say it: 90s, 30m, 2h, 90d."""

from __future__ import annotations

import re
from datetime import timedelta

from gateway.cli.outcome import Exit, fail
from outbox import wording

_SPAN = re.compile(r"(?P<number>\d{1,9})(?P<unit>[smhd])\Z")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse(given: str) -> timedelta | None:
    """A span; null for what is none."""
    found = _SPAN.match(given.strip())
    return None if found is None else timedelta(**{_UNITS[found["unit"]]: int(found["number"])})


def seconds(given: str | None, *, least: int, most: int) -> int:
    """The seconds of a ``--for`` within its bounds, or exit 2."""
    span = parse(given or "")
    number = -1 if span is None else int(span.total_seconds())
    if not least <= number <= most:
        remedy = f"accepted: a span of at most {wording.span(most)}, like 90s, 30m, 2h or 3d"
        fail(Exit.WRONG_USE, "it needs an end — --for", remedy=remedy)
    return number
