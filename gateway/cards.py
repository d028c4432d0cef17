"""No card's number is taken: cards are entered on Stripe's page only."""

from __future__ import annotations

from contextlib import suppress

import msgspec

from gateway.problems import FieldError, invalid
from outbox.domain import cards

_GOT = "a card's number"
_ACCEPTED = "anything without one: cards are entered on Stripe's page (POST …/card-link)"


def refuse(raw: bytes, *, index: int | None = None) -> None:
    """Raise a 400 where a body holds a card's number; it is told where, and never shown."""
    if not cards.may_hold(raw):
        return
    with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = list(cards.places(msgspec.json.decode(raw)))
        if found:
            raise invalid([FieldError(path, _GOT, _ACCEPTED, index) for path in found])


def refuse_id(name: str, given: str) -> None:
    """The same for an id in the address, by the name of its place."""
    if cards.holds(given):
        raise invalid([FieldError(f"path.{name}", _GOT, _ACCEPTED)])
