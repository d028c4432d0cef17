"""What a route says of itself to the API description: its body, its answers, its scope."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from gateway.problems import Kind

OPT = "documented"
"""Where a route keeps it (``opt``)."""


class Body(Struct, frozen=True):
    """A request's body in one media type."""

    content: Any
    """Its type."""
    examples: Mapping[str, Any] = {}
    """By a short name, shown."""
    text: str | None = None
    """What the type does not say."""


class Answer(Struct, frozen=True):
    """One successful answer."""

    text: str
    content: Any = None
    """Type of the body, or a tuple of those it may have; null: there is none."""
    media_type: str = "application/json"
    examples: Mapping[str, Any] = {}
    """By a short name, shown."""
    headers: Mapping[str, str] = {}
    """What each header says that may come with it."""


class Documented(Struct, frozen=True, kw_only=True):
    """For one route."""

    answers: Mapping[int, Answer]
    problems: tuple[Kind, ...] = ()
    """Those beyond what every route of its form can answer."""
    bodies: Mapping[str, Body] = {}
    """The request's body by media type; empty: it takes none."""
    scope: str | None = None
    """The key's scope; null: no key is needed."""
    security: str | None = None
    """Another scheme than a key."""

    def __deepcopy__(self, _: object) -> Documented:
        """The framework copies routes; this one is frozen, and its types cannot be copied."""
        return self


def documented(**what: Any) -> dict[str, Any]:  # noqa: ANN401 - as `Documented` takes it
    """For a route's ``opt``."""
    return {OPT: Documented(**what)}
