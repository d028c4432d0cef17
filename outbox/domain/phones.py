"""Phone numbers: E.164, checked with the maintained metadata of Google's library."""

from __future__ import annotations

from functools import lru_cache

import phonenumbers

NOWHERE = "ZZ"
"""Country of a number that belongs to none, as a satellite phone's; ISO 3166 leaves it free."""

_LONGEST = len("+") + 15
_RANGE = len("+") + 8
"""So many characters of a number say of which country it is, also where some share a calling code:
the United States and Canada by area, Jersey and the United Kingdom by the digits after it."""

_MOST_RANGES = 65_536
_ranges: dict[str, str] = {}


@lru_cache(maxsize=65_536)
def problem_with(phone: str) -> str | None:
    """What is wrong with a number, in words that do not repeat it; null when it can be texted.

    Cached: the metadata look-up costs about a tenth of a millisecond.
    """
    if not phone.startswith("+"):
        return "a number without + and country code"
    if not phone[1:].isascii() or not phone[1:].isdigit():
        return "a number with other characters than digits"
    if len(phone) > _LONGEST:
        return "a number with too many digits"
    try:
        parsed = phonenumbers.parse(phone, None)
    except phonenumbers.NumberParseException:
        return "text that is not a phone number"
    # Possible, not valid: the metadata lags behind new ranges, and the carrier has the last word.
    if not phonenumbers.is_possible_number(parsed):
        return "a number of a length that its country does not have"
    return None


def country_of(phone: str) -> str:
    """The country whose number this is.

    One that the metadata does not know belongs to the main country of its calling code: new ranges
    appear there before the metadata learns of them, and the other limits hold for them as well.
    """
    parsed = phonenumbers.parse(phone, None)
    known = phonenumbers.region_code_for_number(parsed)
    if known is None:
        known = phonenumbers.region_code_for_country_code(parsed.country_code or 0)
    # 001 is what Google's library calls a number of no country.
    return known if known.isalpha() else NOWHERE


def country_of_range(phone: str) -> str:
    """The country of the range that a number lies in, for figures: one look-up for many numbers."""
    prefix = phone[:_RANGE]
    found = _ranges.get(prefix)
    if found is None:
        if len(_ranges) >= _MOST_RANGES:
            _ranges.clear()
        found = _ranges[prefix] = country_of(phone)
    return found
