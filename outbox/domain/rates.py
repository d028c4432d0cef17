"""Rates of senders by their type, and the share of each lane: data, with defaults in one table."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from outbox.domain.states import Lane

PerSecond = Annotated[float, Meta(gt=0, le=1_000_000)]

_TOLL_FREE = re.compile(r"\+1(800|833|844|855|866|877|888)\d{7}")
BURST_S = 2.0
"""How much of a rate may be saved up, in seconds of it."""


class Share(StrEnum):
    """Who a bucket belongs to, in order of precedence."""

    SAFETY = "safety"
    CODES = "codes"
    OTHER = "other"


_OF_LANE = {Lane.SAFETY: Share.SAFETY, Lane.CODES: Share.CODES}


def share_of(lane: int) -> Share:
    """The share that a lane draws from first."""
    return _OF_LANE.get(Lane(lane), Share.OTHER)


def usable_by(share: Share) -> list[Share]:
    """Its own bucket, then those that it may empty."""
    order = list(Share)
    return order[order.index(share) :]


class Rates(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Messages per second by type of sender; null: not limited."""

    long_code: PerSecond | None = None
    toll_free: PerSecond | None = None
    short_code: PerSecond | None = None
    messaging_service: PerSecond | None = None
    fcm: PerSecond | None = None
    stripe: PerSecond | None = None
    """Commands; each is a few requests."""


class Shares(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parts of a rate; together 1."""

    safety: Annotated[float, Meta(gt=0, lt=1)]
    codes: Annotated[float, Meta(gt=0, lt=1)]
    other: Annotated[float, Meta(gt=0, lt=1)]

    def of(self, share: Share) -> float:
        """The part of one share."""
        return {Share.SAFETY: self.safety, Share.CODES: self.codes, Share.OTHER: self.other}[share]


class _Defaults(Struct, frozen=True, kw_only=True):
    rates: Rates
    shares: Shares


@cache
def _defaults() -> _Defaults:
    text = resources.files(__package__).joinpath("rates.toml").read_bytes()
    return msgspec.toml.decode(text, type=_Defaults)


def default_rates() -> Rates:
    """The providers' own rates."""
    return _defaults().rates


def default_shares() -> Shares:
    """Who has a right to how much."""
    return _defaults().shares


def sender_type(sender: str) -> str:
    """``long_code``, ``toll_free``, ``short_code`` or ``messaging_service``."""
    if sender.startswith("MG"):
        return "messaging_service"
    if not sender.startswith("+"):
        return "short_code"
    return "toll_free" if _TOLL_FREE.fullmatch(sender) else "long_code"


def rate_of(sender: str, *, rates: Rates, own: Mapping[str, float]) -> float | None:
    """Messages per second of one sender; ``own`` names single senders. Null: not limited."""
    if sender in own:
        return own[sender]
    rate: float | None = getattr(rates, sender_type(sender))
    return rate
