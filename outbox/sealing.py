"""Sealing of names, numbers, tokens and texts, and the keyed hashes that find them again.

AES-GCM-SIV (RFC 8452) under the newest key, bound to table, row and field, so that a sealed
value cannot be moved to another row; nonces are random, and a repeated one would still not
open anything. Look-up hashes use a separate, versioned key.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

_KEY_ID_BYTES = 4
_NONCE_BYTES = 12
_LOOKUP_BYTES = 16


class UnsealError(Exception):
    """A sealed value does not open: its key is missing, or it was altered or moved."""


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(b"pruuf key id" + key).digest()[:_KEY_ID_BYTES]


class Sealer:
    """Seals with the newest key and opens with any; safe to share within a process."""

    def __init__(self, keys: Sequence[bytes], lookup_keys: Sequence[bytes]) -> None:
        """Take 32-byte keys, newest first."""
        self.newest = _key_id(keys[0])
        """How everything begins that is sealed now; what begins otherwise is under an older key."""
        self._ciphers = {_key_id(key): AESGCMSIV(key) for key in keys}
        self._lookup = [(_key_id(key)[:1], key) for key in lookup_keys]
        self._content = hmac.digest(lookup_keys[-1], b"pruuf content hash", "sha256")

    def seal(self, plain: bytes, *, table: str, row: str, field: str) -> bytes:
        """Return key id, nonce and ciphertext of ``plain``."""
        nonce = os.urandom(_NONCE_BYTES)
        bound = f"{table}\0{row}\0{field}".encode()
        return self.newest + nonce + self._ciphers[self.newest].encrypt(nonce, plain, bound)

    def unseal(self, sealed: bytes, *, table: str, row: str, field: str) -> bytes:
        """Return what was sealed for this very field, or raise `UnsealError`."""
        cipher = self._ciphers.get(sealed[:_KEY_ID_BYTES])
        if cipher is None:
            msg = f"{table}.{field} of {row}: sealed under a key that PRUUF_KEYS does not hold"
            raise UnsealError(msg)
        nonce = sealed[_KEY_ID_BYTES : _KEY_ID_BYTES + _NONCE_BYTES]
        bound = f"{table}\0{row}\0{field}".encode()
        try:
            return cipher.decrypt(nonce, sealed[_KEY_ID_BYTES + _NONCE_BYTES :], bound)
        except (InvalidTag, ValueError) as error:  # the latter for what is too short
            msg = f"{table}.{field} of {row}: altered, or moved from another row"
            raise UnsealError(msg) from error

    def lookup(self, value: str) -> bytes:
        """Keyed hash under the newest look-up key, with the key's version in front."""
        return self.lookups(value)[0]

    def lookups(self, value: str) -> list[bytes]:
        """Keyed hashes under every look-up key, newest first: for finding older rows too."""
        data = value.encode()
        return [
            version + hmac.digest(key, data, "sha256")[:_LOOKUP_BYTES]
            for version, key in self._lookup
        ]

    def content_hash(self, content: bytes) -> bytes:
        """Keyed hash of a request's content; the same for ever, whatever keys are added."""
        return hmac.digest(self._content, content, "sha256")
