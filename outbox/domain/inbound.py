"""Texts from people: which of them end, or begin again, what we send to a number.

The words are Twilio's documented ones, and count only when they are the whole message. What reads
like a revocation in somebody's own words is for a person to decide, within the days the law gives.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Literal

import msgspec
from msgspec import Struct


class Meaning(StrEnum):
    """What an inbound text asks for."""

    STOP = "stop"
    START = "start"
    HELP = "help"
    """Answered by Twilio itself."""
    MAYBE_STOP = "maybe_stop"
    """A revocation in somebody's own words: a person decides."""
    OTHER = "other"


class Inbound(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One text, as the gateway verified it; sealed in the inbox as JSON."""

    phone: str
    """Who sent it, E.164."""
    to: str
    """Which of our senders it went to."""
    body: str
    provider_id: str
    opt_out: Literal["STOP", "START", "HELP"] | None = None
    """What Advanced Opt-Out made of it; it may know more words than these."""


_WORDS = {
    **dict.fromkeys(
        ("STOP", "UNSUBSCRIBE", "END", "QUIT", "STOPALL", "REVOKE", "OPTOUT", "CANCEL"),
        Meaning.STOP,
    ),
    **dict.fromkeys(("START", "YES", "UNSTOP"), Meaning.START),
    **dict.fromkeys(("HELP", "INFO"), Meaning.HELP),
}
_OPT_OUT = {"STOP": Meaning.STOP, "START": Meaning.START, "HELP": Meaning.HELP}

# English and Spanish; rather one too many for a person than one too few.
_REVOKING = re.compile(
    r"\b(stop|unsubscribe|opt[\s-]*out|remove\s+me|take\s+me\s+off|leave\s+me\s+alone|wrong\s+number"
    r"|(do\s*n[o'\u2019]?t|never|quit)\s+(text|message|contact|call|send)"
    r"|no\s+more\s+(texts?|messages?)"
    r"|no\s+(me\s+)?(env[ií]en?|manden?|escriban?|llamen?|molesten?)"
    r"|dej(e|en|a)\s+de\s+\w+|cancel(ar|en|e)?|basta|baja|eliminar?me)\b",
    re.IGNORECASE,
)


def meaning(text: Inbound) -> Meaning:
    """What a text asks for."""
    if text.opt_out is not None:
        return _OPT_OUT[text.opt_out]
    known = _WORDS.get(text.body.strip().strip(".!\"'").upper())
    if known is not None:
        return known
    return Meaning.MAYBE_STOP if _REVOKING.search(text.body) else Meaning.OTHER


def encode(text: Inbound) -> bytes:
    """As it is sealed."""
    return msgspec.json.encode(text)


def decode(plain: bytes) -> Inbound:
    """As it was sealed."""
    return msgspec.json.decode(plain, type=Inbound)
