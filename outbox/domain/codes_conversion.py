"""Conversion: how many of the codes that were sent are used. Where few are, somebody else gains."""

from __future__ import annotations

from msgspec import Struct

ENOUGH = 20
"""Codes of one hour from which on their share says something."""
ENOUGH_TO_STOP = 50
"""From which on it says so much that nobody has to be asked."""


class Conversion(Struct, frozen=True, kw_only=True):
    """The codes to one country in one hour, each of which had all its time."""

    country: str
    sent: int
    approved: int

    @property
    def share(self) -> float:
        """The part that was approved."""
        return self.approved / self.sent if self.sent else 1.0


def falls_short(conversion: Conversion, least: float) -> bool:
    """Whether a person has to look at it."""
    return conversion.sent >= ENOUGH and conversion.share < least


def is_fraud(conversion: Conversion, below: float) -> bool:
    """Whether no more is to go there for a while, whoever looks at it."""
    return conversion.sent >= ENOUGH_TO_STOP and conversion.share < below


def summary(conversion: Conversion, *, stopped: bool) -> str:
    """For the operator."""
    done = " None goes there for an hour now." if stopped else ""
    return (
        f"One-time codes to {conversion.country}: only {conversion.approved} of {conversion.sent}"
        f" were used within an hour ({conversion.share:.0%}). Somebody may have them sent for the"
        f" money.{done} Countries and limits: PRUUF_POLICY, table [codes]."
    )
