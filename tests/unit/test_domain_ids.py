"""Ids: uuidv7 by the letter, and shard, time and day readable from the id alone."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbox.domain.ids import (
    SHARDS,
    day_floor,
    key_shard,
    new_id,
    parse_id,
    shard_of,
    shard_of_id,
    time_of_id,
)

_shards = st.integers(0, SHARDS - 1)
# Up to the year 2200: as far as a float holds every millisecond exactly.
_milliseconds = st.integers(0, 7_258_118_400_000)
_moments = st.builds(
    lambda seconds, hours: datetime.fromtimestamp(seconds, timezone(timedelta(hours=hours))),
    st.integers(86_400, 7_258_118_400),
    st.integers(-14, 14),
)


@given(_shards, _milliseconds)
def test_an_id_is_a_uuid_of_version_7_that_begins_with_its_milliseconds(
    shard: int, ms: int
) -> None:
    made = new_id(shard, at_ms=ms)
    assert made.version == 7
    assert made.variant == "specified in RFC 4122"
    assert int.from_bytes(made.bytes[:6]) == ms


@given(_shards, _milliseconds)
def test_an_id_alone_tells_its_shard_and_its_time(shard: int, ms: int) -> None:
    made = new_id(shard, at_ms=ms)
    assert shard_of_id(made) == shard
    assert made.bytes[-1] == shard
    assert time_of_id(made) == datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=ms)


def test_without_a_time_an_id_is_of_now() -> None:
    before = time.time_ns() // 1_000_000
    made = int.from_bytes(new_id(0).bytes[:6])
    assert before <= made <= time.time_ns() // 1_000_000


def test_every_random_bit_of_an_id_is_sometimes_set_and_sometimes_not() -> None:
    made = [new_id(5, at_ms=1_750_000_000_000).int for _ in range(400)]
    ever = always = made[0]
    for value in made:
        ever |= value
        always &= value
    changing = ever & ~always
    # 80 bits after the time, without version (4), variant (2) and shard (8).
    assert changing.bit_count() == 66
    assert changing & ((0xF << 76) | (0x3 << 62) | 0xFF) == 0
    assert len(set(made)) == 400


@given(st.lists(_milliseconds, min_size=2, max_size=20, unique=True), st.data())
def test_ids_of_different_milliseconds_sort_as_their_times(
    times: list[int], data: st.DataObject
) -> None:
    made = [new_id(data.draw(_shards), at_ms=ms) for ms in times]
    assert [int.from_bytes(each.bytes[:6]) for each in sorted(made)] == sorted(times)


@given(_shards, _moments)
def test_a_days_floor_is_below_its_ids_and_above_those_of_the_day_before(
    shard: int, moment: datetime
) -> None:
    midnight = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    first_ms = int(midnight.timestamp()) * 1000
    floor = day_floor(moment)
    assert floor <= new_id(shard, at_ms=first_ms)
    assert floor > new_id(shard, at_ms=first_ms - 1)
    next_floor = day_floor(moment + timedelta(days=1))
    assert new_id(shard, at_ms=first_ms + 86_399_999) < next_floor
    assert next_floor.int - floor.int == 86_400_000 << 80


@given(st.text())
def test_a_shard_is_in_range_and_the_same_every_time(subject: str) -> None:
    assert 0 <= shard_of(subject) < SHARDS
    assert shard_of(subject) == shard_of(subject)


@pytest.mark.parametrize(
    ("subject", "shard"), [("m_1", 4), ("m_2", 2), ("c_1", 6), ("acct_42", 8), ("", 14)]
)
def test_the_shard_of_a_subject_never_changes_between_versions(subject: str, shard: int) -> None:
    # Rows are found by this hash for ever: a change would lose all that is stored.
    assert shard_of(subject) == shard


def test_subjects_spread_over_all_shards_evenly() -> None:
    counts = [0] * SHARDS
    for number in range(16_000):
        counts[shard_of(f"member-{number}")] += 1
    # About four standard deviations around 1,000.
    assert all(870 < count < 1130 for count in counts)


@given(st.text(max_size=5), st.text(max_size=5))
def test_the_shard_of_a_key_is_of_source_and_id_together(source: str, source_id: str) -> None:
    assert key_shard(source, source_id) == shard_of(f"{source}\0{source_id}")


@given(_shards, _milliseconds)
def test_an_id_is_read_with_and_without_hyphens_and_in_capitals(shard: int, ms: int) -> None:
    made = new_id(shard, at_ms=ms)
    for form in (str(made), made.hex, str(made).upper()):
        assert parse_id(form) == made


@given(st.one_of(st.text(), st.text("0123456789abcdef-{}\u0660_ ", min_size=30, max_size=40)))
def test_any_text_is_an_id_of_ours_or_null(text: str) -> None:
    read = parse_id(text)
    assert read is None or text.lower() in {str(read), read.hex}


@given(st.uuids(), _shards)
def test_a_foreign_uuid_is_null(foreign: UUID, shard: int) -> None:
    ours = foreign.version == 7 and foreign.bytes[-1] < SHARDS
    assert parse_id(str(foreign)) == (foreign if ours else None)
    beyond = new_id(shard).int | 0xF0
    assert parse_id(str(UUID(int=beyond))) is None


@pytest.mark.parametrize(
    "form",
    [
        "{{{id}}}",
        "urn:uuid:{id}",
        " {id}",
        "{id}\n",
        "{id}-",
        "{short}",
        "{arabic}",
        "{underscored}",
        "",
    ],
)
def test_other_ways_to_write_an_id_are_null(form: str) -> None:
    made = UUID("01920000-0000-7000-8000-000000000003")
    arabic = str(made).replace("0", "\u0660")
    underscored = made.hex[:5] + "_" + made.hex[6:]
    text = form.format(id=made, short=made.hex[:-1], arabic=arabic, underscored=underscored)
    assert parse_id(text) is None
