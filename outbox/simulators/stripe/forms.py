"""Stripe's form encoding with nested names, and typed access to what was sent."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from outbox.simulators.stripe.errors import Refusal, invalid, required

_MAX_KEYS = 50
_MAX_KEY = 40
_MAX_VALUE = 500
_BOOLEANS = {"true": True, "false": False}


def decode(text: str) -> dict[str, Any]:
    """``items[0][price]=p`` becomes ``{"items": {"0": {"price": "p"}}}``."""
    tree: dict[str, Any] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        *outer, last = name.replace("]", "").split("[")
        place = tree
        for part in outer:
            inner = place.setdefault(part or str(len(place)), {})
            if not isinstance(inner, dict):
                raise invalid(name, f"Invalid request: {name} is both a value and an object.")
            place = inner
        place[last or str(len(place))] = value
    return tree


class Params:
    """The parameters of a call, or of an object within it."""

    def __init__(self, values: Mapping[str, Any], *, path: str = "") -> None:
        """``path``: how the object is called in errors."""
        self.values = values
        self._path = path

    def __contains__(self, name: str) -> bool:
        """Whether it was sent, even if empty."""
        return name in self.values

    def name(self, name: str) -> str:
        """A parameter's full name."""
        return f"{self._path}[{name}]" if self._path else name

    def only(self, *names: str) -> Params:
        """Refuse every other parameter; ``expand`` is always there."""
        for name in self.values:
            if name not in names and name != "expand":
                full = self.name(name)
                raise invalid(full, f"Received unknown parameter: {full}", "parameter_unknown")
        return self

    def text(self, name: str, default: str | None = None) -> str | None:
        """A string; an empty one is null, which unsets."""
        value = self.values.get(name)
        if value is None:
            return default
        if not isinstance(value, str):
            raise invalid(self.name(name), "Invalid string.", "parameter_invalid_string")
        return value or None

    def needed(self, name: str) -> str:
        """A string that must be there."""
        value = self.text(name)
        if value is None:
            raise required(self.name(name))
        return value

    def choice(self, name: str, accepted: Container[str], default: str) -> str:
        """One of several words."""
        value = self.text(name) or default
        if value not in accepted:
            raise invalid(self.name(name), f"Invalid {self.name(name)}: {value}")
        return value

    def integer(self, name: str, *, least: int | None = None) -> int | None:
        """A whole number, or null."""
        value = self.values.get(name)
        if value is None or value == "":
            return None
        try:
            number = int(value)
        except (TypeError, ValueError):
            raise self._no_integer(name, value) from None
        if least is not None and number < least:
            raise self._no_integer(name, value)
        return number

    def _no_integer(self, name: str, value: object) -> Refusal:
        message = f"Invalid integer: {value}"
        return invalid(self.name(name), message, "parameter_invalid_integer")

    def boolean(self, name: str, *, default: bool = False) -> bool:
        """True or false."""
        value = self.values.get(name)
        if value is None:
            return default
        if not isinstance(value, str) or value not in _BOOLEANS:
            raise invalid(self.name(name), f"Invalid boolean: {value}")
        return _BOOLEANS[value]

    def inner(self, name: str) -> Params:
        """An object within; empty when it was not sent."""
        value = self.values.get(name)
        if value is None or value == "":
            return Params({}, path=self.name(name))
        if not isinstance(value, Mapping):
            raise invalid(self.name(name), f"Invalid object: {self.name(name)}")
        return Params(value, path=self.name(name))

    def each(self, name: str) -> list[Params]:
        """The objects of an array."""
        inner = self.inner(name)
        return [inner.inner(key) for key in inner.values]

    def strings(self, name: str) -> list[str]:
        """The strings of an array."""
        value = self.values.get(name)
        if isinstance(value, str):
            return [value] if value else []
        return [str(one) for one in self.inner(name).values.values()]

    def metadata(self, current: Mapping[str, str]) -> dict[str, str]:
        """The metadata after this call: an empty value unsets a key, an empty whole all of them."""
        if self.values.get("metadata") == "":
            return {}
        changed = dict(current)
        for key, value in self.inner("metadata").values.items():
            if not isinstance(value, str) or len(key) > _MAX_KEY or len(value) > _MAX_VALUE:
                message = "Metadata: keys of 40, values of 500 characters."
                raise invalid(self.inner("metadata").name(key), message)
            if value:
                changed[key] = value
            else:
                changed.pop(key, None)
        if len(changed) > _MAX_KEYS:
            raise invalid("metadata", "Metadata: at most 50 keys.")
        return changed


def bounded(params: Params, name: str, value: int) -> bool:
    """Whether a time fits a list's filter: exactly, or ``gt``, ``gte``, ``lt``, ``lte``."""
    if isinstance(params.values.get(name), str):
        return value == params.integer(name)
    inner = params.inner(name)
    gt, gte = inner.integer("gt"), inner.integer("gte")
    lt, lte = inner.integer("lt"), inner.integer("lte")
    return (
        (gt is None or value > gt)
        and (gte is None or value >= gte)
        and (lt is None or value < lt)
        and (lte is None or value <= lte)
    )


def words(values: Iterable[str]) -> str:
    """Names in a sentence."""
    return ", ".join(sorted(values))
