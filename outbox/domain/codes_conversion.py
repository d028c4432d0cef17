"""Conversion: how many of the codes that were sent are used. Where few are, somebody else gains."""

from __future__ import annotations

from msgspec import Struct

ENOUGH = 20
"""Codes of one hour from which on their share says something."""


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


def summary(conversion: Conversion) -> str:
    """For the operator."""
    return (
        f"One-time codes to {conversion.country}: only {conversion.approved} of {conversion.sent}"
        f" were used within an hour ({conversion.share:.0%}). Somebody may have them sent for the"
        " money. Countries and limits: PRUUF_POLICY, table [codes]."
    )
