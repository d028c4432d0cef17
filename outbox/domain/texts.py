"""Texts: one template per kind, locale and channel; every SMS ends in its short reference.

A template is named ``kind/version``; a notification keeps the one that it was accepted with.
"""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from msgspec import Struct

from outbox.domain.content import Content


class Text(Struct, frozen=True):
    """One template: the SMS, and title and body of the push."""

    sms: str
    title: str
    body: str


_TEXTS: dict[str, dict[str, Text]] = {
    "checkin.missed/1": {
        "en": Text(
            "Pruuf alert: {member} missed the check-in due {time}. Please call {phone} or go there."
            " Ref {ref}",
            "{member} missed a check-in",
            "It was due {time}. Please call {phone} or go there. Tap to say that you know.",
        ),
        "es": Text(
            "Alerta Pruuf: {member} no hizo el aviso de las {time}. Llame al {phone} o acuda."
            " Ref {ref}",
            "{member} no ha dado su aviso",
            "Era a las {time}. Llame al {phone} o acuda. Toque para decir que lo sabe.",
        ),
    },
    "checkin.confirmed/1": {
        "en": Text(
            "Pruuf: {member} is OK, checked in {time}. Ref {ref}",
            "{member} is OK",
            "Checked in {time}.",
        ),
        "es": Text(
            "Pruuf: {member} se encuentra bien, aviso de las {time}. Ref {ref}",
            "{member} se encuentra bien",
            "Aviso de las {time}.",
        ),
    },
    "member.invited/1": {
        "en": Text(
            "Pruuf: {inviter} invites you to be a contact. Your code in the app: {code}. Ref {ref}",
            "{inviter} invites you",
            "Your code in the app: {code}.",
        ),
        "es": Text(
            "Pruuf: {inviter} le invita a ser su contacto. Su código en la app: {code}. Ref {ref}",
            "{inviter} le invita",
            "Su código en la app: {code}.",
        ),
    },
}


def template_of(kind: str) -> str:
    """The current template of a kind."""
    return f"{kind}/1"


class MissingValueError(LookupError):
    """A template needs a value that the notification does not have: a fault of intake."""


def _text(template: str, locale: str) -> Text:
    by_language = _TEXTS[template]
    return by_language.get(locale.partition("-")[0].lower(), by_language["en"])


def _time(at: datetime, timezone: str) -> str:
    return at.astimezone(ZoneInfo(timezone)).strftime("%b %d %H:%M")


def _values(content: Content, ref: str) -> dict[str, str]:
    given = {
        "member": content.member_name,
        "phone": content.member_phone,
        "inviter": content.inviter_name,
        "code": content.code,
        "time": _time(content.at, content.timezone) if content.at else None,
        "ref": ref,
    }
    return {name: value for name, value in given.items() if value is not None}


def _fill(pattern: str, values: dict[str, str]) -> str:
    try:
        return pattern.format_map(values)
    except KeyError as error:
        msg = f"the text needs {error.args[0]}"
        raise MissingValueError(msg) from None


def sms_text(template: str, locale: str, content: Content, ref: str) -> str:
    """Body of the SMS."""
    return _fill(_text(template, locale).sms, _values(content, ref))


def push_text(template: str, locale: str, content: Content) -> tuple[str, str]:
    """Title and body of the push."""
    text, values = _text(template, locale), _values(content, "")
    return _fill(text.title, values), _fill(text.body, values)
