"""Receipts: one total order with the same maximum whatever comes first; callbacks stay whole."""

from __future__ import annotations

from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbox.domain.callbacks import Callback, decode, encode
from outbox.domain.receipts import Rank, is_failure, is_success, rank_of

_TWILIO = [
    "accepted",
    "scheduled",
    "queued",
    "sending",
    "sent",
    "failed",
    "undelivered",
    "canceled",
    "delivered",
    "read",
]
_said = st.one_of(
    st.tuples(st.just("twilio"), st.sampled_from(_TWILIO)),
    st.tuples(st.just("app"), st.sampled_from(["received", "opened"])),
    st.tuples(st.sampled_from(["twilio", "app"]), st.text()),
)


@given(st.lists(_said, min_size=1, max_size=20), st.data())
def test_the_maximum_is_the_same_in_any_order_and_with_any_repetition(
    said: list[tuple[str, str]], data: st.DataObject
) -> None:
    ranks = [rank_of(*each) for each in said]
    again = data.draw(st.lists(st.sampled_from(ranks)))
    shuffled = data.draw(st.permutations([*ranks, *again]))
    best = Rank.NONE
    # One after the other, as they arrive.
    for rank in shuffled:
        best = max(best, rank)
    assert best == max(ranks)


@given(st.lists(_said, min_size=1, max_size=20))
def test_one_success_beats_every_failure(said: list[tuple[str, str]]) -> None:
    best = max(rank_of(*each) for each in said)
    assert is_success(best) == any(is_success(rank_of(*each)) for each in said)
    failed = any(is_failure(rank_of(*each)) for each in said)
    assert is_failure(best) == (failed and not is_success(best))


@pytest.mark.parametrize("word", ["failed", "undelivered", "canceled"])
def test_a_carriers_failure_is_a_failure_and_no_success(word: str) -> None:
    assert is_failure(rank_of("twilio", word))
    assert not is_success(rank_of("twilio", word))


@pytest.mark.parametrize(
    ("source", "word"),
    [("twilio", "delivered"), ("twilio", "read"), ("app", "received"), ("app", "opened")],
)
def test_what_reached_the_handset_is_a_success_and_no_failure(source: str, word: str) -> None:
    assert is_success(rank_of(source, word))
    assert not is_failure(rank_of(source, word))


@pytest.mark.parametrize("word", ["accepted", "scheduled", "queued", "sending", "sent"])
def test_what_is_on_its_way_decides_nothing_yet(word: str) -> None:
    rank = rank_of("twilio", word)
    assert Rank.NONE < rank < Rank.FAILED
    assert not is_success(rank)
    assert not is_failure(rank)


def test_the_way_of_a_message_only_rises() -> None:
    way = ["accepted", "queued", "sending", "sent", "undelivered", "delivered", "read"]
    ranks = [rank_of("twilio", word) for word in way]
    assert ranks == sorted(set(ranks))
    assert rank_of("app", "received") < rank_of("app", "opened")


@given(st.text())
def test_an_unknown_word_moves_nothing(word: str) -> None:
    if word not in _TWILIO:
        assert rank_of("twilio", word) is Rank.NONE
    if word not in {"received", "opened"}:
        assert rank_of("app", word) is Rank.NONE


@pytest.mark.parametrize("word", ["received", "opened", "Delivered", " delivered"])
def test_one_source_does_not_speak_the_others_words(word: str) -> None:
    assert rank_of("twilio", word) is Rank.NONE


def test_the_app_cannot_say_that_a_text_failed() -> None:
    assert all(rank_of("app", word) is Rank.NONE for word in _TWILIO)


@given(st.integers(-5, 20))
def test_no_rank_is_success_and_failure_at_once(rank: int) -> None:
    assert not (is_success(rank) and is_failure(rank))


def test_ranks_never_change_between_versions() -> None:
    # They are stored, and two statements test for them by number.
    assert {rank.name: rank.value for rank in Rank} == {
        "NONE": 0,
        "ACCEPTED": 1,
        "QUEUED": 2,
        "SENDING": 3,
        "SENT": 4,
        "FAILED": 8,
        "DELIVERED": 9,
        "READ": 10,
    }


_small = st.integers(0, 2**31 - 1)
_callbacks = st.builds(
    Callback,
    source=st.sampled_from(["twilio", "app"]),
    status=st.text(),
    provider_id=st.none() | st.text(),
    code=st.none() | st.text(),
    notification=st.none() | st.uuids(),
    step=_small,
    fence=_small,
    ordinal=_small,
    raw=st.dictionaries(st.text(), st.text(), max_size=5),
)


@given(_callbacks)
def test_a_callback_comes_back_as_it_was_stored(callback: Callback) -> None:
    stored = decode(encode(callback))
    assert stored == callback
    assert stored.said == callback.said


@pytest.mark.parametrize(
    "plain", [b"", b"{}", b"[]", b'{"source":"app"}', b'{"source":1,"status":2}']
)
def test_what_is_no_callback_is_refused(plain: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode(plain)


_SID = "SM" + "0" * 32


def _of_twilio(**fields: object) -> Callback:
    named: dict[str, object] = {"provider_id": _SID, "status": "undelivered", "code": "30005"}
    return msgspec.convert({"source": "twilio", **named, **fields}, Callback)


@pytest.mark.parametrize(
    "other",
    [{"provider_id": "SM" + "1" * 32}, {"status": "failed"}, {"code": "30003"}, {"code": None}],
)
def test_another_message_status_or_code_is_another_receipt(other: dict[str, object]) -> None:
    assert _of_twilio(**other).said != _of_twilio().said


def test_the_same_words_of_the_carrier_are_one_receipt_whatever_comes_with_them() -> None:
    again = _of_twilio(raw={"EventId": "another"}, notification=str(UUID(int=7)), fence=3)
    assert again.said == _of_twilio().said


def test_each_device_and_call_of_the_app_says_something_of_its_own() -> None:
    said = {
        Callback(source="app", status=status, fence=fence, ordinal=ordinal).said
        for status in ("received", "opened")
        for fence in (1, 11)
        for ordinal in (0, 1, 11)
    }
    assert len(said) == 12
