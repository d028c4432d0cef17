"""Announcements: which devices a text in one language goes to, and how much a push can hold. Pure.

A device follows the topic of its language beside the topics that it wants, so that a condition
over both finds the devices of one language.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from outbox.domain.messages import AddressKind

KIND = "announcement.published"
"""Of every notification of an announcement; also names the plan of those to single recipients."""

TOPIC_PLAN = "announcement.topic"
"""Names the plan of an announcement to everybody who follows a topic."""

TOPICS = "device.topics"
"""Kind of the command that lets a device follow a topic, or no longer."""

DEFAULT = "en"
"""The language of devices that speak none of those given."""

MAX_LANGUAGES = 5
"""FCM takes up to five topics in a condition: that of the announcement, and four languages."""

LANGUAGE_TOPIC = "lang-"
"""Begins the topics of languages, which are nobody's to announce to or to follow by hand."""

TOPIC_BYTES = 2048
DEVICE_BYTES = 4096
_ADDED_BYTES = 256
"""What FCM adds to a payload on its way to an iPhone: Apple's own limit is 4096 as well."""

# As long as the real ones; the receipt's token comes with a push to one device only.
_DATA = {"notification_id": "0" * 36, "kind": KIND}
_DEVICE_DATA = {**_DATA, "receipt_token": "0" * 55}


def language_of(locale: str) -> str:
    """``es`` of ``es-MX``."""
    return locale.partition("-")[0].lower()


def language_topic(locale: str) -> str:
    """The topic that devices of this language follow."""
    return LANGUAGE_TOPIC + language_of(locale)


def default_of(languages: Iterable[str]) -> str:
    """English; the only language where there is but one."""
    given = sorted(languages)
    return given[0] if len(given) == 1 else DEFAULT


def audience(topic: str, languages: Iterable[str], language: str) -> tuple[AddressKind, str]:
    """Who gets the text in one of the languages: a topic, or a condition over topics.

    The audiences of all languages share no device, also not one that follows several languages
    because a change of it has not come through; together they are all that follow the topic.
    """
    given = list(languages)
    if len(given) == 1:
        return AddressKind.TOPIC, topic
    others = sorted(set(given) - {default_of(given)})
    place = len(others) if language == default_of(given) else others.index(language)
    parts = [_follows(topic)]
    if place < len(others):
        parts.append(_follows(LANGUAGE_TOPIC + language))
    parts += [f"!({_follows(LANGUAGE_TOPIC + earlier)})" for earlier in others[:place]]
    return AddressKind.CONDITION, " && ".join(parts)


def _follows(topic: str) -> str:
    return f"'{topic}' in topics"


def size(title: str, body: str, *, to_topic: bool) -> int:
    """Bytes of a push with these words, as they count against FCM's limit."""
    shown = {"title": title, "body": body}
    data = _DATA if to_topic else _DEVICE_DATA
    payload = msgspec.json.encode({"notification": shown, "data": data})
    return len(payload) + (0 if to_topic else _ADDED_BYTES)
