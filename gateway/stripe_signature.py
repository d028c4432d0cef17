"""Whether a webhook is Stripe's: an HMAC over its time and the raw body, under any of our secrets.

Times of the future are refused as well as old ones: who could sign for tomorrow has the secret, and
what is signed ahead must not be played when it suits.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence

TOLERANCE_S = 300
"""On both sides; longer than clocks differ and retries wait within one delivery."""

_MOST = 20
_TIME = re.compile(r"\d{1,12}\Z")


def is_genuine(header: str | None, body: bytes, *, secrets: Sequence[str], now: float) -> bool:
    """Whether a v1 signature fits under a secret; ``now`` in Unix seconds."""
    if header is None or not header.isascii():
        return False
    parts = [part.strip().partition("=") for part in header.split(",")[:_MOST]]
    times = [value for name, _, value in parts if name == "t"]
    given = [value for name, _, value in parts if name == "v1"]
    if len(times) != 1 or not _TIME.match(times[0]) or not given:
        return False
    signed = times[0].encode() + b"." + body
    # All are compared, so that timing tells nothing about which one fits.
    fitting = [
        hmac.compare_digest(hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest(), each)
        for secret in secrets
        for each in given
    ]
    return any(fitting) and abs(now - int(times[0])) <= TOLERANCE_S
