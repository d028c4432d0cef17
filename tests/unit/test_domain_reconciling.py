"""A provider's list against our attempts: whoever is on one side only is found, and why."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbox.domain.content import short_reference
from outbox.domain.ids import new_id
from outbox.domain.receipts import Rank
from outbox.domain.reconciling import (
    STEPS,
    WORDS,
    Apart,
    Book,
    Ours,
    Theirs,
    bits_of,
    step_of,
)

_AT = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
_ID = new_id(3)


def _ours(rank: int = 0) -> Ours:
    return Ours(notification=_ID, step=1, fence=4, at=_AT, rank=rank)


def _theirs(name: str, status: str = "sent", reference: str | None = None) -> Theirs:
    return Theirs(provider_id=name, status=status, code=None, reference=reference)


@given(st.uuids(), st.integers(0, 30))
def test_a_reference_tells_part_of_the_id_and_the_step(identity: UUID, step: int) -> None:
    reference = short_reference(identity, step)
    bits = bits_of(reference)
    assert bits == (identity.int >> 8) & ((1 << 35) - 1)
    assert (bits & 0xFFFFFFFF).to_bytes(4) == identity.bytes[11:15]
    assert step_of(reference, identity) == step
    assert step_of(reference, UUID(int=identity.int ^ (1 << 42))) is None


@pytest.mark.parametrize("text", ["", "K7Q2", "K7Q2K7Q2K", "K7Q2K7QI", "k7q2k7q2"])
def test_what_is_no_reference(text: str) -> None:
    assert bits_of(text) is None


@pytest.mark.parametrize(
    ("status", "heard", "apart"),
    [
        ("delivered", Rank.NONE, Apart.UNHEARD),
        ("delivered", Rank.SENT, Apart.UNHEARD),
        ("delivered", Rank.FAILED, Apart.UNHEARD),
        ("delivered", Rank.DELIVERED, None),
        ("delivered", Rank.READ, None),
        ("undelivered", Rank.SENT, Apart.UNHEARD),
        ("undelivered", Rank.FAILED, None),
        ("undelivered", Rank.DELIVERED, None),
        ("sent", Rank.NONE, None),
        ("queued", Rank.NONE, None),
        ("a new word", Rank.NONE, None),
    ],
)
def test_how_it_ended_is_heard_of_once(status: str, heard: Rank, apart: Apart | None) -> None:
    book = Book(ours={"SM1": _ours(heard)})
    assert book.compare([_theirs("SM1", status)]) == []
    assert [each.apart for each in book.found] == ([] if apart is None else [apart])
    assert book.agreed == (apart is None)
    assert book.unseen(since=_AT, until=_AT + timedelta(hours=1)) == []


def test_whoever_is_on_one_side_only_is_found() -> None:
    book = Book(ours={"SM1": _ours(), "SM2": _ours()})
    left = book.compare(
        [
            _theirs("SM1"),
            _theirs("SM3", reference="AAAAAAA1"),
            _theirs("SM4", reference="BBBBBBB1"),
            _theirs("SM5", reference="CCCCCCC1"),
            _theirs("SM6"),
        ]
    )
    assert [each.provider_id for each in left] == ["SM3", "SM4", "SM5"]
    book.explain(left, {"AAAAAAA1": _ours(), "CCCCCCC1": _ours(Rank.DELIVERED)})
    [missing] = book.unseen(since=_AT, until=_AT + timedelta(hours=1))
    book.absent(missing)
    assert {(each.apart, each.provider_id, each.fence) for each in book.found} == {
        (Apart.UNRECORDED, "SM3", 4),
        (Apart.NOBODYS, "SM4", 0),
        (Apart.ABSENT, "SM2", 4),
    }
    assert (book.agreed, book.others) == (2, 1)


def test_what_lies_outside_of_the_time_is_not_missed() -> None:
    book = Book(ours={"SM1": _ours()})
    assert book.unseen(since=_AT + timedelta(seconds=1), until=_AT + timedelta(hours=1)) == []
    assert book.unseen(since=_AT - timedelta(hours=1), until=_AT) == []


def test_every_difference_is_said_in_words_with_the_next_step() -> None:
    assert set(WORDS) == set(STEPS) == set(Apart)
