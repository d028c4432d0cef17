"""Contents come back as they were sealed; a short reference names one step of one notification."""

from __future__ import annotations

from datetime import timedelta, timezone
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbox.domain.content import Content, decode, encode, short_reference
from outbox.domain.ids import new_id

_texts = st.none() | st.text()
_offsets = st.integers(-14 * 60, 14 * 60).map(lambda m: timezone(timedelta(minutes=m)))
_contents = st.builds(
    Content,
    phone=_texts,
    recipient_name=_texts,
    member_name=_texts,
    member_phone=_texts,
    inviter_name=_texts,
    code=_texts,
    at=st.none() | st.datetimes(timezones=_offsets),
    timezone=st.text(),
    summary=_texts,
)
_ALPHABET = set("0123456789ABCDEFGHJKMNPQRSTVWXYZ")
_RANDOM_BITS = 35


@given(_contents)
def test_what_was_encoded_is_decoded_the_same(content: Content) -> None:
    assert decode(encode(content)) == content


def test_what_is_unset_takes_no_room() -> None:
    assert encode(Content()) == b"{}"


def test_a_value_of_a_later_version_does_not_stop_an_earlier_one() -> None:
    assert decode(b'{"code":"1234","of_a_later_version":[1]}') == Content(code="1234")


@pytest.mark.parametrize("plain", [b"", b"{", b"[]", b'{"at":"yesterday"}', b"\xff"])
def test_what_is_no_content_is_refused(plain: bytes) -> None:
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
        decode(plain)


@given(st.uuids(), st.integers(0, 30))
def test_a_short_reference_is_eight_characters_that_nobody_misreads(
    notification: UUID, step: int
) -> None:
    reference = short_reference(notification, step)
    assert len(reference) == 8
    # Crockford's alphabet: no I, L, O or U.
    assert set(reference) <= _ALPHABET


@given(st.uuids())
def test_each_step_of_a_notification_has_another_reference(notification: UUID) -> None:
    assert len({short_reference(notification, step) for step in range(32)}) == 32


@given(st.uuids(), st.uuids(), st.integers(0, 30), st.integers(0, 30))
def test_two_references_are_equal_only_for_the_same_step_and_random_part(
    one: UUID, other: UUID, step: int, another: int
) -> None:
    same = (one.int >> 8) % 2**_RANDOM_BITS == (other.int >> 8) % 2**_RANDOM_BITS
    equal = short_reference(one, step) == short_reference(other, another)
    assert equal == (same and step == another)


@given(st.integers(8, 7 + _RANDOM_BITS), st.uuids())
def test_every_bit_that_a_reference_takes_matters(bit: int, notification: UUID) -> None:
    flipped = UUID(int=notification.int ^ (1 << bit))
    assert short_reference(flipped, 0) != short_reference(notification, 0)


def test_notifications_of_one_millisecond_and_shard_have_different_references() -> None:
    made = [new_id(3, at_ms=1_750_000_000_000) for _ in range(500)]
    # 500 of 2^35: that two are equal by chance happens once in 275,000 runs.
    assert len({short_reference(each, 0) for each in made}) == 500
