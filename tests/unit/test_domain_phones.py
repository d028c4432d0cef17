"""Phone numbers and time zones: what can be used passes, and no answer repeats what came."""

from __future__ import annotations

import zoneinfo

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbox.domain.phones import problem_with
from outbox.domain.zones import is_known


def test_a_mobile_number_of_every_region_passes() -> None:
    mobile = phonenumbers.PhoneNumberType.MOBILE
    refused = []
    for region in phonenumbers.SUPPORTED_REGIONS:
        example = phonenumbers.example_number_for_type(region, mobile)
        if example is not None:
            e164 = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)
            refused += [region] if problem_with(e164) is not None else []
    assert refused == []


@pytest.mark.parametrize("phone", ["+12025550123", "+15557654321", "+390612345678", "+37061234567"])
def test_numbers_of_documents_and_ranges_that_the_metadata_does_not_know_pass(phone: str) -> None:
    assert problem_with(phone) is None


@pytest.mark.parametrize(
    ("phone", "problem"),
    [
        ("", "without +"),
        ("12025550123", "without +"),
        ("0012025550123", "without +"),
        (" +12025550123", "without +"),
        ("\uff0b12025550123", "without +"),
        ("+", "other characters"),
        ("+1 202 555 0123", "other characters"),
        ("+1-202-555-0123", "other characters"),
        ("+12025550123\n", "other characters"),
        ("+12025550123;ext=4", "other characters"),
        ("+١٢٠٢٥٥٥٠١٢٣", "other characters"),
        ("+²025550123", "other characters"),
        ("+1202555012x", "other characters"),
        ("+\x00", "other characters"),
        ("+9992025550123", "not a phone number"),
        ("+1", "not a phone number"),
        ("+" + "1" * 31, "too many digits"),
        ("+6200000000000000", "too many digits"),
        ("+1202555012", "of a length"),
        ("+120255501234", "of a length"),
        ("+44207946095812", "of a length"),
    ],
)
def test_what_cannot_be_texted_is_named(phone: str, problem: str) -> None:
    told = problem_with(phone)
    assert told is not None
    assert problem in told


@given(st.one_of(st.text(), st.from_regex(r"\+[0-9]{1,16}", fullmatch=True)))
def test_no_problem_repeats_a_digit_of_the_number(phone: str) -> None:
    told = problem_with(phone)
    assert told is None or not any(character.isdigit() for character in told)


@given(st.one_of(st.text(), st.from_regex(r"\+[0-9]{1,16}", fullmatch=True)))
def test_what_passes_is_a_plus_and_at_most_fifteen_digits_beginning_above_zero(phone: str) -> None:
    if problem_with(phone) is None:
        digits = phone.removeprefix("+")
        assert phone == f"+{digits}"
        assert digits.isascii()
        assert digits.isdecimal()
        assert digits[0] != "0"
        assert len(digits) <= 15


def test_every_zone_of_the_database_is_known() -> None:
    zones = zoneinfo.available_timezones()
    assert "America/New_York" in zones
    assert [zone for zone in zones if not is_known(zone)] == []


@pytest.mark.parametrize(
    "zone",
    [
        "",
        ".",
        "America",
        "America/",
        "america/nowhere",
        "../../etc/passwd",
        "/etc/localtime",
        "Europe/../Europe/Berlin",
        "Europe/Berlin\0",
        "zone.tab",
        "GMT+25",
        "a" * 5000,
        "\ud800",
    ],
)
def test_what_is_no_zone_is_not_known_and_raises_nothing(zone: str) -> None:
    assert not is_known(zone)


@given(st.text(max_size=64))
def test_any_text_is_a_zone_that_can_be_used_or_is_not_known(zone: str) -> None:
    if is_known(zone):
        assert zoneinfo.ZoneInfo(zone).key == zone
