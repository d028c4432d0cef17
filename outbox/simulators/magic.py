"""Magic numbers and tokens: the address chooses what becomes of a message.

A number is magic when it is ``+1 AAA 555 nnnn`` with a listed area code AAA and nnnn from 2000
on; the digits are free, so that thousands of recipients share an outcome. A token is magic by
its prefix. Everything else is delivered.
"""

from __future__ import annotations

from typing import Final

from outbox.simulators.magic_table import DELIVERED, TABLE, TESTING
from outbox.simulators.outcomes import Outcome

__all__ = [
    "DELIVERED",
    "FIRST_LINE",
    "LINES",
    "TABLE",
    "TESTING",
    "is_of_numbers",
    "named",
    "number",
    "numbers_look",
    "of_number",
    "of_token",
    "token",
    "tokens_look",
]

# Exchange 555 belongs to nobody's telephone: a magic number that slips out texts no stranger.
_EXCHANGE: Final = "555"
# 555-0100 to 555-0199 are everybody's made-up numbers, 555-1212 is the operator: those stay plain.
FIRST_LINE: Final = 2000
LINES: Final = 10_000 - FIRST_LINE
_LENGTH: Final = len("+12135552000")

_BY_NAME: Final = {outcome.name: outcome for outcome in TABLE if outcome.areas}
_BY_AREA: Final = {area: outcome for outcome in TABLE for area in outcome.areas}
_PREFIXES: Final = {outcome.name: outcome.prefix for outcome in TABLE if outcome.prefix}
_BY_PREFIX: Final = {outcome.prefix: outcome for outcome in TABLE if outcome.prefix}


def of_number(number: str, *, first_sender: bool = True) -> Outcome:
    """Outcome of a text to this number; ``first_sender``: it comes from that of the account."""
    if number in TESTING:
        return _BY_NAME[TESTING[number]]
    if len(number) != _LENGTH or number[5:8] != _EXCHANGE or number[8:] < str(FIRST_LINE):
        return DELIVERED
    outcome = _BY_AREA.get(number[2:5], DELIVERED)
    return DELIVERED if outcome.first_sender and not first_sender else outcome


def of_token(token: str) -> Outcome:
    """Outcome of a push to this token or installation id."""
    if not token.startswith("sim-"):
        return DELIVERED
    return _BY_PREFIX.get(token[: token.find("-", 4) + 1], DELIVERED)


def number(outcome: str, n: int) -> str:
    """The n-th valid number of an outcome, from 0 on.

    Each outcome has 8,000, ``delivered`` 256,000; beyond is a `ValueError`. `KeyError` if no
    number has this outcome.
    """
    area, line = divmod(n, LINES)
    areas = _BY_NAME[outcome].areas
    if not 0 <= area < len(areas):
        msg = f"{outcome} has {len(areas) * LINES} numbers; there is no number {n}"
        raise ValueError(msg)
    return f"+1{areas[area]}{_EXCHANGE}{FIRST_LINE + line:04d}"


def is_of_numbers(outcome: str) -> bool:
    """Whether some numbers have an outcome of this name."""
    return outcome in _BY_NAME


def named(outcome: str) -> Outcome:
    """An outcome that numbers have; `KeyError` if none has it."""
    return _BY_NAME[outcome]


def token(outcome: str, n: int) -> str:
    """The n-th token of an outcome; `KeyError` if no token has it."""
    return f"{_PREFIXES[outcome]}{n:08d}"


def numbers_look(outcome: Outcome) -> str:
    """How the numbers of an outcome look, for a reader; empty when it has none."""
    if len(outcome.areas) < 2:  # noqa: PLR2004 - one or none
        return "".join(f"`+1 {area} {_EXCHANGE} nnnn`" for area in outcome.areas)
    return f"`+1 AAA {_EXCHANGE} nnnn` with AAA of {', '.join(outcome.areas)}"


def tokens_look(outcome: Outcome) -> str:
    """How the tokens of an outcome look, for a reader; empty when it has none."""
    return f"`{outcome.prefix}…`" if outcome.prefix else ""
