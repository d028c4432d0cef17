"""Who may be sent a one-time code: country, opt-out, and how often; pure.

Texts of codes are what fraud lives on: somebody rents a range of numbers, and has codes sent there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct

from outbox.domain.policy import Codes

_LAST_DIGITS = 3
"""Not part of a number's prefix."""
MILS = 10_000
"""Parts of a dollar: money is counted in whole ones."""


class Counted(StrEnum):
    """What is counted."""

    NUMBER = "number"
    PREFIX = "prefix"
    """Numbers that share all but their last digits: a range that somebody may have rented."""
    COUNTRY = "country"
    CALLER = "caller"
    """Requests of an API key for a code."""
    PREFIX_COST = "prefix_cost"
    """What codes to a prefix cost, in `MILS` of a dollar."""
    CALLER_COST = "caller_cost"
    """What the codes of an API key cost, likewise."""
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
    PREFIX_COST = "prefix_cost"
    CALLER_COST = "caller_cost"
    STOPPED = "stopped"
    """Hardly any code that went to this country was used."""
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

    def add(self, number: int = 1) -> None:
        """Count once more, or so much."""
        self.minute += number
        self.ten_minutes += number
        self.hour += number
        self.added += number


class Asked(Struct, frozen=True, kw_only=True):
    """A code that is asked for, as far as its limits go."""

    country: str
    opted_out: bool
    number: Used
    prefix: Used
    of_country: Used
    prefix_cost: Used
    caller_cost: Used
    stopped: bool = False
    """Nothing goes to this country for a while."""


def price(country: str, codes: Codes) -> int:
    """What one text costs, in `MILS` of a dollar; at least one of them."""
    usd = codes.usd_per_text.get(country, codes.usd_elsewhere)
    return max(1, math.ceil(usd * MILS))


def refusal(asked: Asked, codes: Codes) -> Refused | None:
    """Why no code may be sent; null where one may, which is then counted."""
    if asked.country not in codes.countries:
        return Refused.COUNTRY
    if asked.opted_out:
        return Refused.OPTED_OUT
    if asked.stopped:
        return Refused.STOPPED
    for used, most, refused in (
        (asked.number.ten_minutes, codes.per_number, Refused.NUMBER_LIMIT),
        (asked.prefix.ten_minutes, codes.per_prefix, Refused.PREFIX_LIMIT),
        (asked.of_country.hour, codes.per_country_hour, Refused.COUNTRY_LIMIT),
    ):
        if used >= most:
            return refused
    cost = price(asked.country, codes)
    for counted, usd, refused in (
        (asked.prefix_cost, codes.usd_per_prefix_hour, Refused.PREFIX_COST),
        (asked.caller_cost, codes.usd_per_caller_hour, Refused.CALLER_COST),
    ):
        if counted.hour + cost > usd * MILS:
            return refused
    for each in (asked.number, asked.prefix, asked.of_country):
        each.add()
    for each in (asked.prefix_cost, asked.caller_cost):
        each.add(cost)
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
        Counted.PREFIX_COST: prefix_of(phone),
        Counted.CALLER_COST: caller,
    }
