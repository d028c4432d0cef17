"""The country of a number's range is that of the number."""

from __future__ import annotations

import phonenumbers
import pytest
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from outbox.domain import phones
from outbox.domain.phones import NOWHERE, country_of, country_of_range, problem_with


def _example(region: str) -> phonenumbers.PhoneNumber | None:
    return phonenumbers.example_number_for_type(region, PhoneNumberType.MOBILE)


_REGIONS = sorted(filter(_example, phonenumbers.SUPPORTED_REGIONS))


@pytest.mark.parametrize("region", _REGIONS)
def test_it_is_that_of_the_number(region: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phones, "_ranges", {})
    example = _example(region)
    assert example is not None
    number = phonenumbers.format_number(example, PhoneNumberFormat.E164)
    assert country_of_range(number) == country_of(number)
    # Of all numbers that differ in their last digits alone.
    beside = f"{number[:-2]}{(int(number[-2:]) + 1) % 100:02d}"
    if len(number) > len(number[: phones._RANGE]) + 2:
        assert country_of_range(beside) == country_of_range(number)


def test_it_is_looked_up_once_for_a_range_and_forgotten_before_it_fills_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    def ask(phone: str) -> str:
        asked.append(phone)
        return country_of(phone)

    monkeypatch.setattr(phones, "_ranges", {})
    monkeypatch.setattr(phones, "_MOST_RANGES", 2)
    monkeypatch.setattr(phones, "country_of", ask)
    for number in ("+12025550123", "+12025550999", "+447781123456", "+447911123456"):
        assert problem_with(number) is None
        country_of_range(number)
    assert asked == ["+12025550123", "+447781123456", "+447911123456"]
    assert len(phones._ranges) == 1


def test_a_number_of_no_country_is_of_none() -> None:
    assert country_of_range("+881612345678") == NOWHERE
    assert country_of_range("+16045550123") == "CA"
    assert country_of_range("+12045550123") == "CA"
    assert country_of_range("+12015550123") == "US"
