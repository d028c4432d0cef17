"""A place in the code where a process may be killed or stopped."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, Literal

from msgspec import Struct


class Point(Struct, frozen=True, kw_only=True):
    """One place where a process may end."""

    name: str
    place: str
    """``module:name``, as it is looked up by who calls it."""
    when: Literal["before", "after"]
    truth: str
    """What must be true once everything runs again."""
    of: str | None = None
    """Type of the items, where one place serves several."""

    def resolve(self) -> tuple[Any, str, Callable[..., Any]]:
        """Who holds the function, its name there, and the function."""
        module, _, path = self.place.partition(":")
        holder: Any = importlib.import_module(module)
        *owners, name = path.split(".")
        for owner in owners:
            holder = getattr(holder, owner)
        return holder, name, getattr(holder, name)
