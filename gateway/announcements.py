"""From an announcement to what is sent: whom it is for, in which language, and what cannot be sent.

Everything that FCM would refuse is refused here, with its place, while somebody can still mend it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from msgspec import Struct

from gateway.schemas import AnnouncementData, AnnouncementPublished
from outbox.domain import announcements
from outbox.domain.announcements import DEFAULT, DEVICE_BYTES, LANGUAGE_TOPIC, TOPIC_BYTES
from outbox.domain.content import Content

Wrong = tuple[str, str, str]
"""Where it is, what came, and what is accepted."""


class Stored(Protocol):
    """What is stored of a recipient."""

    @property
    def locale(self) -> str:
        """BCP 47."""
        ...

    @property
    def timezone(self) -> str:
        """IANA name."""
        ...


class Told(Struct, frozen=True):
    """One notification of an announcement."""

    recipient: str
    locale: str
    content: Content
    plan_of: str


def wrong_with(event: AnnouncementPublished) -> Iterator[Wrong]:
    """Everything that is wrong with an announcement beyond its structure."""
    data = event.data
    if event.subject != data.topic:
        yield ("$.subject", "another name", "the same as $.data.topic")
    if data.topic.startswith(LANGUAGE_TOPIC):
        accepted = f"a name that does not begin with {LANGUAGE_TOPIC}"
        yield ("$.data.topic", "the topic of a language", accepted)
    wrong = [*_locale_faults(data)]
    yield from wrong
    if not wrong:
        yield from _size_faults(data)


def _locale_faults(data: AnnouncementData) -> Iterator[Wrong]:
    for locale in data.title:
        if locale not in data.body:
            accepted = "a text for each locale of $.data.title"
            yield (f"$.data.body.{locale}", "nothing", accepted)
    for locale in data.body:
        if locale not in data.title:
            accepted = "a text for each locale of $.data.body"
            yield (f"$.data.title.{locale}", "nothing", accepted)
    languages: set[str] = set()
    for locale in data.title:
        language = announcements.language_of(locale)
        if language in languages:
            got = f"another text in the language {language}"
            yield (f"$.data.title.{locale}", got, "one locale of each language")
        languages.add(language)
    if len(languages) > 1 and DEFAULT not in languages:
        accepted = "a text for those who speak none of the others"
        yield (f"$.data.title.{DEFAULT}", "nothing", accepted)


def _size_faults(data: AnnouncementData) -> Iterator[Wrong]:
    to_topic = data.recipients is None
    most, whose = (TOPIC_BYTES, "a topic") if to_topic else (DEVICE_BYTES, "a device")
    for locale, title in data.title.items():
        size = announcements.size(title, data.body[locale], to_topic=to_topic)
        if size > most:
            accepted = (
                f"at most {most} bytes for {whose}, with the title and what is added here;"
                f" {size - most} less"
            )
            yield (f"$.data.body.{locale}", f"a push of {size} bytes", accepted)


def told_of(event: AnnouncementPublished, known: Mapping[str, Stored]) -> Iterator[Told]:
    """One for each language of a topic, or one for each recipient; its faults are ruled out.

    Somebody who is not stored has no device either: the others are told all the same.
    """
    data = event.data
    locales = {announcements.language_of(locale): locale for locale in data.title}
    if data.recipients is None:
        for language, locale in locales.items():
            kind, address = announcements.audience(data.topic, locales, language)
            content = Content(
                title=data.title[locale],
                body=data.body[locale],
                address=address,
                address_kind=str(kind),
            )
            yield Told(f"topic:{data.topic}", locale, content, announcements.TOPIC_PLAN)
        return
    default = locales[announcements.default_of(locales)]
    # The same one twice is told once.
    for recipient in dict.fromkeys(data.recipients):
        stored = known.get(recipient)
        language = announcements.language_of(stored.locale) if stored else ""
        locale = locales.get(language, default)
        content = Content(
            title=data.title[locale],
            body=data.body[locale],
            timezone=stored.timezone if stored else "UTC",
        )
        yield Told(recipient, locale, content, announcements.KIND)
