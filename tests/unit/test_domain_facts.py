"""Facts: every change of a minute shows in its root, every missing minute in the chain."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import UUID

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from outbox.domain import merkle
from outbox.domain.facts import (
    LEAF_BYTES,
    NAME_BYTES,
    RAW_BYTES,
    Fact,
    Head,
    Root,
    Seals,
    UnknownKeyError,
    differences,
    row_of,
    split,
)

_KEY, _OLDER = bytes(range(32)), bytes(range(32, 64))
_SEALS = Seals([_KEY])
_MINUTE = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
_leaves = st.lists(st.binary(min_size=LEAF_BYTES, max_size=LEAF_BYTES), unique=True, max_size=40)


def _by_the_book(leaves: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, word for word."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return sha256(b"\0" + leaves[0]).digest()
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    return sha256(b"\1" + _by_the_book(leaves[:half]) + _by_the_book(leaves[half:])).digest()


@given(_leaves)
def test_the_root_is_the_one_of_the_rfc(leaves: list[bytes]) -> None:
    assert merkle.root(leaves) == _by_the_book(leaves)


@given(_leaves, _leaves)
def test_other_leaves_have_another_root(one: list[bytes], other: list[bytes]) -> None:
    assert (merkle.root(one) == merkle.root(other)) == (one == other)


def test_an_inner_node_is_no_leaf() -> None:
    left, right = sha256(b"\0a").digest(), sha256(b"\0b").digest()
    assert merkle.root([b"a", b"b"]) != merkle.root([left + right])


@given(_leaves, _leaves)
def test_a_difference_is_whatever_is_on_one_side_only(
    before: list[bytes], now: list[bytes]
) -> None:
    names = {leaf[:NAME_BYTES] for leaf in before}, {leaf[:NAME_BYTES] for leaf in now}
    found = {each.name: each.check for each in differences(before, now)}
    for name, check in found.items():
        here, there = name in names[0], name in names[1]
        assert check == (
            "row_altered" if here and there else "row_missing" if here else "row_added"
        )
    same = {leaf[:NAME_BYTES] for leaf in set(before) & set(now)}
    assert same.isdisjoint(found) or len(set(before) | set(now)) > len(names[0] | names[1])
    assert bool(found) == (set(before) != set(now))


@given(st.binary(min_size=RAW_BYTES, max_size=RAW_BYTES), st.integers(0, RAW_BYTES * 8 - 1))
def test_one_bit_makes_another_leaf_of_the_same_length(raw: bytes, bit: int) -> None:
    other = (int.from_bytes(raw) ^ (1 << bit)).to_bytes(RAW_BYTES)
    [one], [two] = (_SEALS.leaves(Fact.EVENT, each, _SEALS.key_id) for each in (raw, other))
    assert len(one) == len(two) == LEAF_BYTES
    assert one != two


def test_leaves_of_another_kind_or_key_are_others() -> None:
    raw = bytes(RAW_BYTES)
    other = Seals([_OLDER])
    made = {
        _SEALS.leaves(Fact.EVENT, raw, _SEALS.key_id)[0][-8:],
        _SEALS.leaves(Fact.ATTEMPT, raw, _SEALS.key_id)[0][-8:],
        other.leaves(Fact.EVENT, raw, other.key_id)[0][-8:],
    }
    assert len(made) == 3


def _chain(seals: Seals, minutes: int = 5) -> list[Root]:
    roots: list[Root] = []
    for number in range(minutes):
        leaves = [bytes([number] * LEAF_BYTES), bytes([number + 100] * LEAF_BYTES)]
        before = roots[-1].link if roots else b""
        roots.append(seals.root(3, _MINUTE + timedelta(minutes=number), leaves, before))
    return roots


def _broken(roots: list[Root]) -> list[int]:
    links = [b"", *(root.link for root in roots)]
    return [n for n, root in enumerate(roots) if not _SEALS.links(3, root, links[n])]


@pytest.mark.parametrize("gone", range(4))
def test_a_minute_that_is_taken_out_breaks_the_chain(gone: int) -> None:
    roots = _chain(_SEALS)
    assert _broken(roots) == []
    del roots[gone]
    assert _broken(roots) == [gone]


@pytest.mark.parametrize(
    "change",
    [
        {"minute": _MINUTE + timedelta(seconds=1)},
        {"facts": 3},
        {"root": bytes(32)},
        {"link": bytes(32)},
    ],
)
def test_a_root_that_is_changed_breaks_the_chain(change: dict[str, object]) -> None:
    roots = _chain(_SEALS)
    roots[2] = replace(roots[2], **change)
    assert 2 in _broken(roots)


def test_a_root_is_of_its_shard() -> None:
    [first, *_] = _chain(_SEALS)
    assert not _SEALS.links(4, first, b"")


@pytest.mark.parametrize(
    "change",
    [
        {"shard": 4},
        {"until": _MINUTE + timedelta(minutes=9)},
        {"newest": None},
        {"link": bytes(32)},
        {"mac": bytes(32)},
        {"key_id": b"none"},
        {"until": None},
    ],
)
def test_a_head_that_is_changed_is_not_ours(change: dict[str, object]) -> None:
    head = _SEALS.head(3, _MINUTE + timedelta(minutes=1), _MINUTE, b"l" * 32)
    assert _SEALS.is_ours(head)
    assert not _SEALS.is_ours(replace(head, **change))


def test_one_that_has_sealed_nothing_needs_no_proof() -> None:
    assert _SEALS.is_ours(Head(shard=3))


def test_after_a_rotation_older_roots_are_checked_with_the_older_key() -> None:
    old, new = Seals([_OLDER]), Seals([_KEY, _OLDER])
    first = old.root(3, _MINUTE, [b"a" * LEAF_BYTES], b"")
    second = new.root(3, _MINUTE + timedelta(minutes=1), [b"b" * LEAF_BYTES], first.link)
    assert first.key_id == old.key_id != second.key_id == new.key_id
    assert new.links(3, first, b"")
    assert new.links(3, second, first.link)
    with pytest.raises(UnknownKeyError):
        Seals([_KEY]).links(3, first, b"")


@given(st.uuids(version=4), st.integers(0, 2**31 - 1), st.integers(0, 2**15 - 1))
def test_a_leaf_names_its_attempt(notification: UUID, fence: int, ordinal: int) -> None:
    part = fence.to_bytes(4) + ordinal.to_bytes(2)
    name = bytes([Fact.ATTEMPT]) + notification.bytes + part
    assert row_of(name) == f"{notification} {fence}.{ordinal}"


@given(_leaves)
def test_leaves_are_stored_one_after_the_other(leaves: list[bytes]) -> None:
    assert split(b"".join(leaves)) == leaves
    assume(leaves)
    assert merkle.root(split(b"".join(leaves)[:-1])) != merkle.root(leaves)


@given(st.binary(max_size=NAME_BYTES))
def test_what_is_no_leaf_of_ours_has_a_name_as_well(name: bytes) -> None:
    assert isinstance(row_of(name), str)
