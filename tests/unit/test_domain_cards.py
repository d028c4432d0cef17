"""A card's number is found wherever it stands, and what only looks like one is not."""

from __future__ import annotations

import uuid

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbox.domain import cards

_NUMBERS = (
    *("4242424242424242", "4000056655665556", "4222222222222", "5555555555554444"),
    *("2223003122003222", "378282246310005", "6011111111111117", "3056930009020004"),
    *("3566002020360505", "6200000000000005", "36227206271667"),
)


def _spaced(number: str, between: str) -> str:
    at = (4, 10) if len(number) == 15 else (4, 8, 12)
    parts = [number[a:b] for a, b in zip((0, *at), (*at, None), strict=True)]
    return between.join(parts)


@pytest.mark.parametrize("number", _NUMBERS)
@pytest.mark.parametrize("around", ["{}", "card: {}.", "pm_{}", "({})", "4{{0}} {}"])
def test_a_number_is_found(number: str, around: str) -> None:
    assert cards.holds(around.format(number))
    assert cards.may_hold(around.format(number).encode())


@pytest.mark.parametrize("between", [" ", "-"])
def test_a_number_in_groups_is_found(between: str) -> None:
    for number in ("4242424242424242", "378282246310005"):
        assert cards.holds(_spaced(number, between))
        assert cards.may_hold(_spaced(number, between).encode())


@pytest.mark.parametrize(
    "text",
    [
        "4242424242424241",  # the check digit
        "1764538123456789",  # microseconds of today
        "+4242424242424242",
        "+12025550123",
        "c_1",
        "evt_1PruufExample4242424242424242x",
        "00004242424242424242",
        "42424242",
        "",
    ],
)
def test_what_is_none_is_let_pass(text: str) -> None:
    assert not cards.holds(text)


@given(st.uuids(), st.integers(1_700_000_000_000, 1_999_999_999_999))
def test_ids_and_times_are_none(name: uuid.UUID, at: int) -> None:
    for text in (str(name), name.hex, str(at), str(at * 1000), str(at * 1_000_000)):
        assert not cards.holds(text)


_words = st.text('ab1 \n{}":,', max_size=8)
_values = st.recursive(
    st.one_of(_words, st.integers(-(2**53), 2**53), st.none(), st.booleans()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(_words, inner, max_size=3)
    ),
)


@given(_values)
def test_what_holds_none_stays_as_it_is(value: object) -> None:
    raw = msgspec.json.encode(value)
    if not any(cards.places(value)):
        assert cards.masked(raw) is raw


@given(st.data(), st.sampled_from(_NUMBERS), _values)
def test_no_number_is_left_and_all_else_is(data: st.DataObject, number: str, value: object) -> None:
    planted = data.draw(st.sampled_from([number, f"of {number}", int(number)]))
    raw = msgspec.json.encode({"rest": value, "at": [{"note": planted}], "amount": 299})
    kept = msgspec.json.decode(cards.masked(raw))
    assert number not in msgspec.json.encode(kept["at"]).decode()
    assert kept["amount"] == 299
    if not any(cards.places(value)):
        assert kept["rest"] == msgspec.json.decode(msgspec.json.encode(value))
