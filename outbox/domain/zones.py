"""Time zones by their IANA name, as far as this machine's database knows them."""

from __future__ import annotations

import zoneinfo
from functools import lru_cache


@lru_cache(maxsize=1024)
def is_known(name: str) -> bool:
    """Whether a name such as ``America/New_York`` is a zone."""
    try:
        zoneinfo.ZoneInfo(name)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        return False
    return True
