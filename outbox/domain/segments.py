"""How many parts a text is sent in: what a carrier counts, and what a message costs.

GSM 03.38: 160 septets alone, 153 in each of several parts; with one character outside of its
alphabet UCS-2, 70 and 67.
"""

from __future__ import annotations

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡"
    "ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà",
)
_EXTENDED = frozenset("\f^{}\\[~]|€")


def segments(text: str) -> int:
    """Parts of a text; 1 for an empty one."""
    if set(text) <= _BASIC | _EXTENDED:
        # A character of the extension is sent behind an escape.
        units = len(text) + sum(character in _EXTENDED for character in text)
        alone, joined = 160, 153
    else:
        units = len(text.encode("utf-16-le", "surrogatepass")) // 2
        alone, joined = 70, 67
    return 1 if units <= alone else -(-units // joined)
