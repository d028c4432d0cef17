"""A Merkle tree over sorted leaves (RFC 6962, section 2.1): one root that no leaf can leave unseen.

Leaves and inner nodes are hashed apart, so that neither can stand in for the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

EMPTY = sha256(b"").digest()
"""Root of nothing."""


def root(leaves: Sequence[bytes]) -> bytes:
    """Root over these leaves, in this order."""
    if not leaves:
        return EMPTY
    level = [sha256(b"\0" + leaf).digest() for leaf in leaves]
    while len(level) > 1:
        # An odd node goes up as it is: that makes the tree of the RFC, level by level.
        pairs = zip(level[::2], level[1::2], strict=False)
        above = [sha256(b"\1" + left + right).digest() for left, right in pairs]
        if len(level) % 2:
            above.append(level[-1])
        level = above
    return level[0]
