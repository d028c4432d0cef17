"""What a route says of itself to the API description: its body, its answers, its scope."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

OPT = "documented"
"""Where a route keeps it (``opt``)."""


class Answer(Struct, frozen=True):
    """One successful answer."""

    text: str
    content: Any = None
    """Type of the body; null: there is none."""
    media_type: str = "application/json"


class Documented(Struct, frozen=True, kw_only=True):
    """For one route."""

    answers: Mapping[int, Answer]
    problems: tuple[int, ...] = ()
    """Statuses of problems beyond those that every route of its form has."""
    bodies: Mapping[str, Any] = {}
    """Type of the request's body by media type; empty: it takes none."""
    scope: str | None = None
    """The key's scope; null: no key is needed."""
    security: str | None = None
    """Another scheme than a key."""
    example: Any = None
    """Of a JSON body."""


def documented(**what: Any) -> dict[str, Any]:  # noqa: ANN401 - as `Documented` takes it
    """For a route's ``opt``."""
    return {OPT: Documented(**what)}
