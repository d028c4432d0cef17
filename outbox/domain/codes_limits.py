"""Who may be sent a one-time code: country, opt-out, and how often; pure.

Texts of codes are what fraud lives on: somebody rents a range of numbers, and has codes sent there.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct

from outbox.domain.policy import Codes

_LAST_DIGITS = 3
"""Not part of a number's prefix."""


class Counted(StrEnum):
    """What is counted."""

    NUMBER = "number"
    PREFIX = "prefix"
    """Numbers that share all but their last digits: a range that somebody may have rented."""
    COUNTRY = "country"
    CALLER = "caller"
    """Requests of an API key for a code."""
    CHECKS = "checks"
    """Guesses that an API key brought."""


class Refused(StrEnum):
    """Why no code is sent; the caller is never told."""

    COUNTRY = "country"
    """None of those that codes go to."""
    OPTED_OUT = "opted_out"
    NUMBER_LIMIT = "number_limit"
    PREFIX_LIMIT = "prefix_limit"
    COUNTRY_LIMIT = "country_limit"
    UNKNOWN = "unknown"
    """Nobody asked for a code under this id; it was made up."""


class Used(Struct):
    """How often something was counted lately, by the database's clock; whole minutes."""

    minute: int = 0
    """In the minute that runs."""
    ten_minutes: int = 0
    """In it and the ten before: no ten minutes hold more than is allowed."""
    hour: int = 0
    """In it and the sixty before."""
    added: int = 0
    """Of these, by the transaction that is open."""

    def add(self) -> None:
        """Count once more."""
        self.minute += 1
        self.ten_minutes += 1
        self.hour += 1
        self.added += 1


class Asked(Struct, frozen=True, kw_only=True):
    """A code that is asked for, as far as its limits go."""

    country: str
    opted_out: bool
    number: Used
    prefix: Used
    of_country: Used


def refusal(asked: Asked, codes: Codes) -> Refused | None:
    """Why no code may be sent; null where one may, which is then counted."""
    if asked.country not in codes.countries:
        return Refused.COUNTRY
    if asked.opted_out:
        return Refused.OPTED_OUT
    for used, most, refused in (
        (asked.number.ten_minutes, codes.per_number, Refused.NUMBER_LIMIT),
        (asked.prefix.ten_minutes, codes.per_prefix, Refused.PREFIX_LIMIT),
        (asked.of_country.hour, codes.per_country_hour, Refused.COUNTRY_LIMIT),
    ):
        if used >= most:
            return refused
    for each in (asked.number, asked.prefix, asked.of_country):
        each.add()
    return None


def caller_may(used: Used, most: int) -> bool:
    """Whether a caller may go on in this minute; counted if so."""
    if used.minute >= most:
        return False
    used.add()
    return True


def prefix_of(phone: str) -> str:
    """What a number shares with its range."""
    return phone[:-_LAST_DIGITS]


def keys_of(phone: str, country: str, caller: str) -> Mapping[Counted, str]:
    """What a request is counted under, in clear: what is stored is a keyed hash of it."""
    return {
        Counted.NUMBER: phone,
        Counted.PREFIX: prefix_of(phone),
        Counted.COUNTRY: country,
        Counted.CALLER: caller,
    }
