"""The erasure of a person: what names them, and what it may have to wait for. Pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from enum import StrEnum

import msgspec

GRACE = timedelta(seconds=45)
"""After the request something may still be stored that was read before it: an event that names the
person by an id alone, prepared with the number that was known then. No request lasts for longer."""

ERASED = "erased"
"""Reason of what was pending for somebody who asked to be forgotten."""

LAST_CONTACT = "contact_erased"
"""Reason of the page when the last Contact of an open alert is erased."""


class Waits(StrEnum):
    """Why an erasure is not at its end."""

    TRANSACTIONS = "transactions"
    """What began before it may still be stored."""
    CALLBACKS = "callbacks"
    """What providers told before it is not applied."""
    NOTIFICATIONS = "notifications"
    """Something with their name or number is unfinished: an alert about them, a command, a call."""


def again_after_s(age_s: float) -> float:
    """Until an erasure of this age is looked at again."""
    return min(600.0, max(2.0, age_s / 10))


def names(plain: bytes, recipient: str, is_theirs: Callable[[str], bool]) -> bool:
    """Whether a JSON document names this person: by their id, or by a number that is theirs.

    What is no JSON names nobody: our own events hold their type alone.
    """
    try:
        return _names(msgspec.json.decode(plain), recipient, is_theirs)
    except msgspec.DecodeError:
        return False


def _names(value: object, recipient: str, is_theirs: Callable[[str], bool]) -> bool:
    if isinstance(value, dict):
        return value.get("id") == recipient or any(
            _names(each, recipient, is_theirs) for each in value.values()
        )
    if isinstance(value, list):
        return any(_names(each, recipient, is_theirs) for each in value)
    return isinstance(value, str) and value.startswith("+") and is_theirs(value)


def says_who(plain: bytes, recipient: str) -> bool:
    """Whether an event itself tells the number or the name of a person, not their id alone."""
    try:
        return _says_who(msgspec.json.decode(plain), recipient)
    except msgspec.DecodeError:
        return False


def _says_who(value: object, recipient: str) -> bool:
    if isinstance(value, dict):
        if value.get("id") == recipient:
            return not value.keys().isdisjoint({"phone", "name", "email"})
        return any(_says_who(each, recipient) for each in value.values())
    return isinstance(value, list) and any(_says_who(each, recipient) for each in value)
