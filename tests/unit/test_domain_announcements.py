"""Audiences share no device and leave none out; what a push holds is counted."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbox.domain import announcements
from outbox.domain.announcements import MAX_LANGUAGES, audience, default_of, language_topic, size
from outbox.domain.messages import AddressKind
from outbox.domain.references import Purpose, Reference, ReferenceSigner

_ALL = ("de", "en", "es", "fr", "pt", "zh")
_given = st.sets(st.sampled_from(_ALL), min_size=1, max_size=MAX_LANGUAGES).filter(
    lambda languages: len(languages) == 1 or "en" in languages,
)
_followed = st.sets(st.sampled_from(["news", "weather", *(f"lang-{each}" for each in _ALL)]))


def _reaches(target: tuple[AddressKind, str], followed: set[str]) -> bool:
    """What FCM makes of it, for a device that follows these topics."""
    kind, text = target
    if kind is AddressKind.TOPIC:
        return text in followed
    python = re.sub(r"'([^']*)' in topics", r"('\1' in followed)", text)
    python = python.replace("&&", "and").replace("!", "not ")
    return bool(eval(python, {"followed": followed}))


@given(_given, _followed)
def test_every_follower_gets_it_in_exactly_one_language(
    languages: set[str], followed: set[str]
) -> None:
    reached = [
        language
        for language in languages
        if _reaches(audience("news", languages, language), followed)
    ]
    if "news" not in followed:
        assert reached == []
        return
    spoken = {each for each in languages if language_topic(each) in followed}
    # Whoever speaks none of the others gets the default, and one that is known gets their own.
    expected = sorted(spoken - {default_of(languages)})[:1] or [default_of(languages)]
    assert reached == expected


@given(_given)
def test_a_condition_names_no_more_topics_than_fcm_takes(languages: set[str]) -> None:
    for language in languages:
        _, text = audience("news", languages, language)
        assert text.count(" in topics") <= 5


def test_conditions_read_as_they_are_documented() -> None:
    assert audience("news", ["en", "es"], "es") == (
        AddressKind.CONDITION,
        "'news' in topics && 'lang-es' in topics",
    )
    assert audience("news", ["en", "es"], "en") == (
        AddressKind.CONDITION,
        "'news' in topics && !('lang-es' in topics)",
    )
    assert audience("news", ["es"], "es") == (AddressKind.TOPIC, "news")


@pytest.mark.parametrize(
    ("locale", "topic"),
    [("es", "lang-es"), ("es-MX", "lang-es"), ("EN-us", "lang-en"), ("zh-Hant-TW", "lang-zh")],
)
def test_the_topic_of_a_language(locale: str, topic: str) -> None:
    assert language_topic(locale) == topic


def test_a_size_counts_bytes_and_what_is_added() -> None:
    plain = size("a", "b", to_topic=True)
    assert size("a", "bb", to_topic=True) == plain + 1
    assert size("a", "bñ", to_topic=True) == plain + 2
    # Quotes are escaped on their way.
    assert size("a", 'b"', to_topic=True) == plain + 2
    assert size("a", "b", to_topic=False) > plain + 256


def test_the_receipt_token_is_as_long_as_it_is_counted() -> None:
    from outbox.domain.ids import new_id  # noqa: PLC0415 - only this test needs it

    reference = Reference(
        purpose=Purpose.PUSH_RECEIPT,
        notification=new_id(0),
        step=0,
        fence=2**30,
        lane=3,
        ordinal=9,
    )
    token = ReferenceSigner([bytes(32)]).sign(reference)
    assert len(token) == len(announcements._DEVICE_DATA["receipt_token"])
    assert len(str(reference.notification)) == len(announcements._DATA["notification_id"])
