"""Sealing: opens for its own row and field alone, under any key that is held; hashes find again."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from outbox.sealing import Sealer, UnsealError

_KEYS = [bytes([number]) * 32 for number in range(4)]
_LOOKUP = [bytes([number]) * 32 for number in range(100, 104)]

_sealer = Sealer(_KEYS[:2], _LOOKUP[:2])
_plain = st.binary(max_size=200)
# What ids may hold: no NUL, which stands between the names of a device's row.
_names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)


@given(_plain, _names, _names, _names)
def test_what_was_sealed_opens_for_its_own_row_and_field(
    plain: bytes, table: str, row: str, field: str
) -> None:
    sealed = _sealer.seal(plain, table=table, row=row, field=field)
    assert _sealer.unseal(sealed, table=table, row=row, field=field) == plain


@given(_plain, st.tuples(_names, _names, _names), st.tuples(_names, _names, _names))
def test_what_was_moved_to_another_table_row_or_field_does_not_open(
    plain: bytes, here: tuple[str, str, str], there: tuple[str, str, str]
) -> None:
    assume(here != there)
    sealed = _sealer.seal(plain, table=here[0], row=here[1], field=here[2])
    with pytest.raises(UnsealError, match="moved"):
        _sealer.unseal(sealed, table=there[0], row=there[1], field=there[2])


@given(_plain, st.data())
def test_what_was_altered_anywhere_does_not_open(plain: bytes, data: st.DataObject) -> None:
    sealed = bytearray(_sealer.seal(plain, table="t", row="r", field="f"))
    place = data.draw(st.integers(0, len(sealed) - 1))
    sealed[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(UnsealError):
        _sealer.unseal(bytes(sealed), table="t", row="r", field="f")


@given(_plain, st.data())
def test_what_was_cut_anywhere_does_not_open(plain: bytes, data: st.DataObject) -> None:
    sealed = _sealer.seal(plain, table="t", row="r", field="f")
    cut = data.draw(st.integers(0, len(sealed) - 1))
    with pytest.raises(UnsealError):
        _sealer.unseal(sealed[:cut], table="t", row="r", field="f")


@given(st.binary(max_size=100))
def test_any_other_bytes_do_not_open(foreign: bytes) -> None:
    with pytest.raises(UnsealError):
        _sealer.unseal(foreign, table="t", row="r", field="f")


@given(st.binary(min_size=8, max_size=200))
def test_sealed_bytes_do_not_hold_the_plain_ones_and_differ_every_time(plain: bytes) -> None:
    once, again = (_sealer.seal(plain, table="t", row="r", field="f") for _ in range(2))
    assert plain not in once
    assert once != again


@given(_plain)
def test_a_missing_key_is_named_as_the_cause(plain: bytes) -> None:
    sealed = Sealer([_KEYS[2]], _LOOKUP).seal(plain, table="recipient", row="c_1", field="phone")
    with pytest.raises(UnsealError, match=r"recipient\.phone of c_1: .*PRUUF_KEYS"):
        _sealer.unseal(sealed, table="recipient", row="c_1", field="phone")


@given(st.binary(min_size=4, max_size=200).filter(lambda plain: len(set(plain)) > 3))
def test_no_error_repeats_what_was_sealed(plain: bytes) -> None:
    sealed = _sealer.seal(plain, table="t", row="r", field="f")
    with pytest.raises(UnsealError) as caught:
        _sealer.unseal(sealed, table="t", row="r", field="g")
    assert plain.decode("latin-1") not in str(caught.value)


@given(_plain)
def test_after_a_rotation_old_rows_open_and_new_ones_are_sealed_under_the_new_key(
    plain: bytes,
) -> None:
    old, rotated, new = (
        Sealer([_KEYS[0]], _LOOKUP),
        Sealer([_KEYS[1], _KEYS[0]], _LOOKUP),
        Sealer([_KEYS[1]], _LOOKUP),
    )
    before = old.seal(plain, table="t", row="r", field="f")
    after = rotated.seal(plain, table="t", row="r", field="f")
    assert rotated.unseal(before, table="t", row="r", field="f") == plain
    assert new.unseal(after, table="t", row="r", field="f") == plain
    for sealer, sealed in ((new, before), (old, after)):
        with pytest.raises(UnsealError, match="does not hold"):
            sealer.unseal(sealed, table="t", row="r", field="f")


@given(st.text())
def test_a_look_up_is_the_newest_of_all_look_ups_and_the_same_every_time(value: str) -> None:
    sealer = Sealer(_KEYS[:1], _LOOKUP)
    found = sealer.lookups(value)
    assert sealer.lookup(value) == found[0]
    assert len(set(found)) == len(_LOOKUP)
    assert Sealer(_KEYS[1:2], _LOOKUP).lookups(value) == found


@given(st.text(), st.text())
def test_different_values_have_different_look_ups(one: str, other: str) -> None:
    assume(one != other)
    assert set(_sealer.lookups(one)).isdisjoint(_sealer.lookups(other))


@given(st.text())
def test_rows_of_before_a_look_up_rotation_are_found_after_it(value: str) -> None:
    before = Sealer(_KEYS, [_LOOKUP[0]]).lookup(value)
    rotated = Sealer(_KEYS, [_LOOKUP[1], _LOOKUP[0]])
    assert rotated.lookup(value) != before
    assert before in rotated.lookups(value)


def test_a_look_up_begins_with_the_version_of_its_key() -> None:
    one, other = (Sealer(_KEYS, [key]) for key in _LOOKUP[:2])
    versions = [{sealer.lookup(f"value {n}")[0] for n in range(9)} for sealer in (one, other)]
    assert [len(each) for each in versions] == [1, 1]
    assert versions[0] != versions[1]


@given(st.binary(), st.binary())
def test_contents_have_the_same_hash_exactly_when_they_are_the_same(
    one: bytes, other: bytes
) -> None:
    assert (_sealer.content_hash(one) == _sealer.content_hash(other)) == (one == other)


@given(st.binary())
def test_a_content_hash_outlives_every_key_that_is_added(content: bytes) -> None:
    first = Sealer(_KEYS[:1], [_LOOKUP[0]]).content_hash(content)
    later = Sealer(_KEYS[::-1], [_LOOKUP[2], _LOOKUP[1], _LOOKUP[0]]).content_hash(content)
    assert later == first


@given(st.binary())
def test_a_content_hash_cannot_be_guessed_without_the_key(content: bytes) -> None:
    foreign = Sealer(_KEYS[:2], [_LOOKUP[3]])
    assert foreign.content_hash(content) != _sealer.content_hash(content)
