"""Facts: what is stored once and must stay. Each is a leaf that names its row, and proves it.

A leaf is 31 bytes: the kind of fact, an id, a part that tells rows of one id apart, and a keyed
hash of what survives an erasure. Without a look-up key nobody makes one for another content.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from enum import IntEnum
from hashlib import blake2b, sha256
from hmac import compare_digest, digest
from uuid import UUID

from msgspec import Struct

from outbox.domain import merkle

ID_BYTES = 16
PART_BYTES = 6
RAW_BYTES = ID_BYTES + PART_BYTES + 32
"""Of a fact as the database gives it: id, part, and a plain hash of its columns."""
HASH_BYTES = 8
NAME_BYTES = 1 + ID_BYTES + PART_BYTES
LEAF_BYTES = NAME_BYTES + HASH_BYTES
BLOCK_BYTES = 16 * LEAF_BYTES


class Fact(IntEnum):
    """A kind of fact; the number is stored."""

    EVENT = 1
    KEY = 2
    NOTIFICATION = 3
    """What of it never changes."""
    OUTCOME = 4
    """How a notification ended; a late receipt, or a person, may replace it by another one."""
    ATTEMPT = 5
    RECEIPT = 6
    ACTION = 7
    SUPPRESSION = 8
    """As it was last changed."""
    REVOCATION = 9
    RECIPIENT = 10
    """As it was last stored; an erasure takes it away."""
    BILLING = 11
    SUBSCRIPTION = 12
    """As it was last changed by Stripe's word; so it is with all that follow."""
    INVOICE = 13
    METHOD = 14
    REVERSAL = 15
    CUSTOMER = 16
    """What Stripe has of an account."""


TABLES = {
    Fact.EVENT: "event",
    Fact.KEY: "event_key",
    Fact.NOTIFICATION: "notification",
    Fact.OUTCOME: "notification",
    Fact.ATTEMPT: "attempt",
    Fact.RECEIPT: "receipt",
    Fact.ACTION: "action",
    Fact.SUPPRESSION: "suppression",
    Fact.REVOCATION: "revocation",
    Fact.RECIPIENT: "recipient",
    Fact.BILLING: "billing_event",
    Fact.SUBSCRIPTION: "subscription",
    Fact.INVOICE: "invoice",
    Fact.METHOD: "payment_method",
    Fact.REVERSAL: "reversal",
    Fact.CUSTOMER: "account",
}

AT_STRIPE = frozenset(
    {Fact.SUBSCRIPTION, Fact.INVOICE, Fact.METHOD, Fact.REVERSAL, Fact.CUSTOMER},
)
"""Rows of billing that change as Stripe tells. One that has no leaf was there before they had any,
or came by a relay of an older version: that is no offence of it."""

REPLACED = frozenset({Fact.OUTCOME, Fact.SUPPRESSION, Fact.RECIPIENT}) | AT_STRIPE
"""Rows that may be stored anew later: their older leaf is then without its row."""


class Root(Struct, frozen=True, kw_only=True):
    """Everything that a shard stored within one minute."""

    minute: datetime
    facts: int
    leaves: bytes
    root: bytes
    key_id: bytes
    link: bytes


class Head(Struct, frozen=True, kw_only=True):
    """How far a shard's roots go."""

    shard: int
    until: datetime | None = None
    newest: datetime | None = None
    link: bytes = b""
    key_id: bytes = b""
    mac: bytes = b""


class UnknownKeyError(KeyError):
    """A root is made with a look-up key that is not given."""


class Seals:
    """Makes leaves and links with the newest look-up key, and checks them with any."""

    def __init__(self, lookup_keys: Sequence[bytes]) -> None:
        """``lookup_keys``: newest first; the keys for the roots are derived from them."""
        derived = [digest(key, b"pruuf audit v1", "sha256") for key in lookup_keys]
        self._keys = {sha256(b"pruuf audit key" + key).digest()[:4]: key for key in derived}
        self.key_id = next(iter(self._keys))

    def leaves(self, fact: int, raw: bytes, key_id: bytes) -> list[bytes]:
        """The leaves of one kind of fact, from what the database packed one after the other."""
        key, kind = self._key(key_id), bytes([fact])
        named = ID_BYTES + PART_BYTES
        return [
            kind
            + raw[at : at + named]
            + blake2b(kind + raw[at : at + RAW_BYTES], key=key, digest_size=HASH_BYTES).digest()
            for at in range(0, len(raw), RAW_BYTES)
        ]

    def root(self, shard: int, minute: datetime, leaves: Iterable[bytes], link: bytes) -> Root:
        """The root over a minute's leaves, linked to the one before."""
        ordered = sorted(leaves)
        packed = b"".join(ordered)
        top = top_of(packed)
        return Root(
            minute=minute,
            facts=len(ordered),
            leaves=packed,
            root=top,
            key_id=self.key_id,
            link=self._link(self.key_id, shard, minute, len(ordered), top, link),
        )

    def links(self, shard: int, root: Root, before: bytes) -> bool:
        """Whether a root follows the link ``before`` it."""
        made = self._link(root.key_id, shard, root.minute, root.facts, root.root, before)
        return compare_digest(made, root.link)

    def head(self, shard: int, until: datetime, newest: datetime | None, link: bytes) -> Head:
        """A head, with its proof."""
        mac = self._mac(self.key_id, shard, until, newest, link)
        return Head(shard=shard, until=until, newest=newest, link=link, key_id=self.key_id, mac=mac)

    def is_ours(self, head: Head) -> bool:
        """Whether a head is genuine; one that has sealed nothing yet needs no proof."""
        if head.until is None:
            return not head.link and head.newest is None
        try:
            mac = self._mac(head.key_id, head.shard, head.until, head.newest, head.link)
        except UnknownKeyError:
            return False
        return compare_digest(mac, head.mac)

    def _key(self, key_id: bytes) -> bytes:
        key = self._keys.get(bytes(key_id))
        if key is None:
            raise UnknownKeyError
        return key

    def _link(  # noqa: PLR0913, PLR0917 - what a link binds
        self, key_id: bytes, shard: int, minute: datetime, facts: int, top: bytes, before: bytes
    ) -> bytes:
        bound = struct.pack(">Bdi", shard, minute.timestamp(), facts) + top + before
        return digest(self._key(key_id), b"link" + bound, "sha256")

    def _mac(
        self, key_id: bytes, shard: int, until: datetime, newest: datetime | None, link: bytes
    ) -> bytes:
        last = 0.0 if newest is None else newest.timestamp()
        bound = struct.pack(">Bdd", shard, until.timestamp(), last) + link
        return digest(self._key(key_id), b"head" + bound, "sha256")


def top_of(leaves: bytes) -> bytes:
    """Root of the tree over packed leaves, in blocks: to hash each alone costs ten times more."""
    return merkle.root([leaves[at : at + BLOCK_BYTES] for at in range(0, len(leaves), BLOCK_BYTES)])


def split(leaves: bytes) -> list[bytes]:
    """Leaves that were stored one after the other; what is left over is one as well."""
    return [leaves[at : at + LEAF_BYTES] for at in range(0, len(leaves), LEAF_BYTES)]


class Difference(Struct, frozen=True):
    """A leaf that is on one side only, or another one on each."""

    check: str
    """``row_missing``, ``row_added`` or ``row_altered``."""
    name: bytes
    """Kind, id and part of the leaf."""


def differences(stored: Iterable[bytes], present: Iterable[bytes]) -> Iterator[Difference]:
    """What distinguishes the leaves of a root from those of the rows that are there now."""
    before, now = set(stored), set(present)
    gone = {leaf[:NAME_BYTES] for leaf in before - now}
    come = {leaf[:NAME_BYTES] for leaf in now - before}
    for name in sorted(gone | come):
        if name in gone and name in come:
            yield Difference("row_altered", name)
        else:
            yield Difference("row_missing" if name in gone else "row_added", name)


def fact_of(name: bytes) -> Fact | None:
    """Kind of a leaf; null for what is none of ours."""
    try:
        return Fact(name[0])
    except (IndexError, ValueError):
        return None


def row_of(name: bytes) -> str:
    """What a leaf's row is called, as far as the leaf tells."""
    fact, key, part = fact_of(name), name[1 : 1 + ID_BYTES], name[1 + ID_BYTES : NAME_BYTES]
    if fact is None or len(name) < NAME_BYTES:
        return name.hex()
    if fact is Fact.SUPPRESSION:
        return (part[:1] + key).hex()
    if fact in {Fact.RECIPIENT, Fact.BILLING} or fact in AT_STRIPE:
        # Its own words are too long for a leaf: this is their hash.
        return f"#{key.hex()}"
    identity = str(UUID(bytes=key))
    if fact is Fact.ATTEMPT:
        fence, ordinal = struct.unpack(">iH", part)
        return f"{identity} {fence}.{ordinal}"
    return f"{identity} #{part.hex()}" if fact is Fact.RECEIPT else identity
