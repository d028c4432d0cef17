"""Texts: one template per kind, locale and channel; every SMS ends in its short reference.

A template is named ``kind/version``; a notification keeps the one that it was accepted with.
Names come from users, so they are told as names: in one line, and as nothing that a handset links.
"""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from string import Formatter
from zoneinfo import ZoneInfo

from msgspec import Struct

from outbox.domain.content import Content
from outbox.domain.notice_texts import TEXTS as NOTICES
from outbox.domain.zones import is_known


class Text(Struct, frozen=True):
    """One template: the SMS, and title and body of the push."""

    sms: str
    title: str
    body: str
    short: str | None = None
    """In place of the SMS where a filter refused that: few words, no number."""


# No letter outside the GSM alphabet, such as ó: one more than halves the room of an SMS.
_TEXTS: dict[str, dict[str, Text]] = {
    "checkin.missed/1": {
        "en": Text(
            "Pruuf alert: {member} missed the check-in due {time}. Please call {phone} or go there."
            " Ref {ref}",
            "{member} missed a check-in",
            "It was due {time}. Please call {phone} or go there. Tap to say that you know.",
            "{member} did not check in by {time}. Please look after them. {ref}",
        ),
        "es": Text(
            "Alerta Pruuf: {member} no hizo el aviso del {time}. Llame al {phone} o acuda."
            " Ref {ref}",
            "{member} no ha dado su aviso",
            "Era el {time}. Llame al {phone} o acuda. Toque para decir que lo sabe.",
            "{member} no dio su aviso del {time}. Por favor, acuda. {ref}",
        ),
    },
    "checkin.all_clear/1": {
        "en": Text(
            "Pruuf: all clear. {member} is OK and checked in {time}. Ref {ref}",
            "All clear: {member} is OK",
            "Checked in {time}. The alert is over.",
        ),
        "es": Text(
            "Pruuf: todo en orden. {member} se encuentra bien, aviso del {time}. Ref {ref}",
            "Todo en orden: {member} se encuentra bien",
            "Aviso del {time}. La alerta ha terminado.",
        ),
    },
    "checkin.confirmed/1": {
        "en": Text(
            "Pruuf: {member} is OK, checked in {time}. Ref {ref}",
            "{member} is OK",
            "Checked in {time}.",
        ),
        "es": Text(
            "Pruuf: {member} se encuentra bien, aviso del {time}. Ref {ref}",
            "{member} se encuentra bien",
            "Aviso del {time}.",
        ),
    },
    "contact.unreachable/1": {
        "en": Text(
            "Pruuf: {contact} stopped our texts, has no app: alerts on {member} fail. Ref {ref}",
            "{contact} cannot be alerted",
            "{contact} no longer takes our texts and has no app. Who looks after {member}?",
        ),
        "es": Text(
            "Pruuf: {contact} no recibe SMS ni tiene la app. Sin avisos de {member}. Ref {ref}",
            "{contact} no puede recibir avisos",
            "{contact} ya no recibe nuestros SMS ni tiene la app. Acuerden quien se ocupa.",
        ),
    },
    "canary.sms/1": {
        "en": Text("Pruuf canary: texts arrive. Ref {ref}", "", ""),
    },
    "member.invited/1": {
        "en": Text(
            "Pruuf: {inviter} invites you to be a contact. Your code in the app: {code}."
            " STOP ends texts. Ref {ref}",
            "{inviter} invites you",
            "Your code in the app: {code}.",
        ),
        "es": Text(
            "Pruuf: {inviter} le invita a ser su contacto. Su clave en la app: {code}."
            " STOP para no recibir SMS. Ref {ref}",
            "{inviter} le invita",
            "Su clave en la app: {code}.",
        ),
    },
    "verification.code/1": {
        "en": Text(
            "{code} is your Pruuf code, for 10 minutes. We never ask you for it. Ref {ref}",
            "Your Pruuf code",
            "{code} is your code, for 10 minutes. We never ask you for it.",
        ),
        "es": Text(
            "{code} es su clave de Pruuf, por 10 minutos. Nunca se la pediremos. Ref {ref}",
            "Su clave de Pruuf",
            "{code} es su clave, por 10 minutos. Nunca se la pediremos.",
        ),
    },
}
_TEXTS |= {
    template: {language: Text(*parts) for language, parts in texts.items()}
    for template, texts in NOTICES.items()
}


def templates() -> list[str]:
    """Every template there is, those of older notifications too."""
    return sorted(_TEXTS)


def locales(template: str) -> list[str]:
    """Languages of a template; English is there for all others."""
    return sorted(_TEXTS[template])


def template_of(kind: str) -> str:
    """The current template of a kind."""
    return f"{kind}/1"


class MissingValueError(LookupError):
    """A template needs a value that the notification does not have: a fault of intake."""


_VALUES = {
    "member": "member_name",
    "phone": "member_phone",
    "inviter": "inviter_name",
    "contact": "contact_name",
    "code": "code",
    "time": "at",
}
"""Where the value of a placeholder comes from."""


@cache
def _needed(template: str) -> frozenset[str]:
    """Placeholders of all texts of a template, but for the reference."""
    patterns = [
        pattern
        for text in _TEXTS.get(template, {}).values()
        for pattern in (text.sms, text.title, text.body, text.short or "")
    ]
    names = {name for pattern in patterns for _, name, _, _ in Formatter().parse(pattern) if name}
    return frozenset(names - {"ref"})


def missing(template: str, content: Content) -> list[str]:
    """Values that a template needs and a content lacks: seen at acceptance, not at sending."""
    return sorted(n for n in _needed(template) if getattr(content, _VALUES[n]) is None)


_LONGEST_NAME = 80
_TIME = {"en": "%b %d %H:%M", "es": "%d/%m a las %H:%M"}

_BLANKS = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")
_TURNS = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_LINKS = re.compile(r"(?<=[.:/@\\\u3002\uff0e\uff61])(?=\S)")


def _name(given: str | None) -> str | None:
    if given is None:
        return None
    return _LINKS.sub(" ", _BLANKS.sub(" ", _TURNS.sub("", given)).strip())[:_LONGEST_NAME] or "?"


def _language(template: str, locale: str) -> str:
    language = locale.partition("-")[0].lower()
    return language if language in _TEXTS[template] else "en"


def _time(at: datetime, timezone: str, language: str) -> str:
    # A zone that this machine lacks, or nonsense within a day of the calendar's ends: no reason to
    # tell nobody.
    with suppress(OverflowError):
        at = at.astimezone(ZoneInfo(timezone) if is_known(timezone) else UTC)
    return at.strftime(_TIME[language])


def _values(content: Content, language: str, ref: str) -> dict[str, str]:
    given = {
        "member": _name(content.member_name),
        "phone": content.member_phone,
        "inviter": _name(content.inviter_name),
        "contact": _name(content.contact_name),
        "code": content.code,
        "time": _time(content.at, content.timezone, language) if content.at else None,
        "ref": ref,
    }
    return {name: value for name, value in given.items() if value is not None}


def _fill(pattern: str, values: dict[str, str]) -> str:
    try:
        return pattern.format_map(values)
    except KeyError as error:
        msg = f"the text needs {error.args[0]}"
        raise MissingValueError(msg) from None


def sms_text(
    template: str,
    locale: str,
    content: Content,
    ref: str,
    *,
    short: bool = False,
) -> str:
    """Body of the SMS; ``short`` where a carrier refused the usual one."""
    language = _language(template, locale)
    text = _TEXTS[template][language]
    pattern = text.short if short and text.short is not None else text.sms
    return _fill(pattern, _values(content, language, ref))


def push_text(template: str, locale: str, content: Content) -> tuple[str, str]:
    """Title and body of the push; an announcement brings its own."""
    if content.title is not None and content.body is not None:
        return content.title, content.body
    language = _language(template, locale)
    text, values = _TEXTS[template][language], _values(content, language, "")
    return _fill(text.title, values), _fill(text.body, values)
