"""What a simulated provider may do with a message, and how long it takes for it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

_ACCEPTED: Final = 201
_REFUSED: Final = 400

Told = tuple[str, int | None]
"""A status that a callback tells, with its error code."""

SENT: Final[Told] = ("sent", None)
ARRIVED: Final[Told] = ("delivered", None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a simulated provider does with one message."""

    name: str
    what: str
    """For the reference page."""
    areas: tuple[str, ...] = ()
    """Area codes of its numbers; empty: tokens only."""
    prefix: str = ""
    """Start of its tokens; empty: numbers only."""
    status: int = _ACCEPTED
    """HTTP status of the create or send call; below 400 it is accepted."""
    code: int | str | None = None
    """The provider's error code of a refused call; null: the answer carries none."""
    retry_after: int | None = None
    """Header of a refused call, in seconds."""
    refuse_first: int | None = None
    """So many calls to one address are refused, later ones accepted; null: all are refused."""
    first_sender: bool = False
    """It happens to texts of the account's first sender only; those of others are delivered."""
    told: tuple[Told, ...] = (SENT, ARRIVED)
    """Twilio's status callbacks, in order."""
    drop: bool = False
    """Accept, then close the connection without an answer."""
    slow: bool = False
    """Accept, and answer later than any caller waits."""
    early: bool = False
    """The callbacks are delivered before the answer is given."""
    shuffled: bool = False
    """The callbacks come twice and in reverse."""
    acknowledged: tuple[str, ...] = ("received",)
    """What the app says of a push by itself, if it is told a receipt token."""

    def refuses(self, calls: Counter[str], address: str) -> bool:
        """Whether a call to an address is refused; counts those that may be accepted later."""
        if self.status < _REFUSED or self.refuse_first is None:
            return self.status >= _REFUSED
        calls[address] += 1
        return calls[address] <= self.refuse_first


@dataclass(frozen=True, slots=True, kw_only=True)
class Delays:
    """In seconds, counted from acceptance."""

    sent_s: float = 0.05
    """Until the callback ``sent``."""
    final_s: float = 0.15
    """Until the final callback, and until an app acknowledges."""
    slow_s: float = 15.0
    """Until a slow answer."""
