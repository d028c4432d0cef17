"""Twilio's errors in its own shape, and what it refuses before it looks at the recipient."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta

from outbox.simulators.asgi import Reply, json_reply
from outbox.simulators.callbacks import can_be_called

_MAX_BODY = 1600
_MAX_VALIDITY_S = 36_000
_EARLIEST = timedelta(minutes=15)
_LATEST = timedelta(days=35)

_E164 = re.compile(r"\+[1-9]\d{6,14}", re.ASCII)
# A number, a short code, or a name of up to eleven characters.
_SENDER = re.compile(r"\+[1-9]\d{6,14}|\d{3,8}|(?=.*[A-Za-z])[A-Za-z0-9 ]{1,11}", re.ASCII)
_SERVICE = re.compile(r"MG[0-9a-f]{32}")

FULL_SENDER = "+15005550008"
"""Its queue is always full, as with Twilio's own test credentials."""

Refusal = tuple[int, str]
"""Twilio's error code and its message; the HTTP status is 400."""


def failure(status: int, code: int, message: str, *, retry_after: int | None = None) -> Reply:
    """An error in Twilio's shape."""
    more = f"https://www.twilio.com/docs/errors/{code}"
    value = {"code": code, "message": message, "more_info": more, "status": status}
    reply = json_reply(status, value)
    reply.refused, reply.retry_after = str(code), retry_after
    return reply


def outage(status: int, retry_after: int | None) -> Reply:
    """The answer of a fault that was switched on."""
    code = 20003 if status == 401 else 20000 + status  # noqa: PLR2004 - Unauthorized
    return failure(status, code, "Simulated fault", retry_after=retry_after)


def refusal(form: Mapping[str, str], now: float) -> Refusal | None:  # noqa: C901, PLR0911 - a table
    """Why a create call is refused; null when nothing is wrong with it."""
    to, body = form.get("To", ""), form.get("Body", "")
    sender, service = form.get("From", ""), form.get("MessagingServiceSid", "")
    if not to:
        return 21604, "A 'To' phone number is required."
    if not _E164.fullmatch(to):
        return 21211, "The 'To' number is not a valid phone number."
    if not sender and not service:
        return 21603, "A 'From' or 'MessagingServiceSid' parameter is required."
    if sender and not _SENDER.fullmatch(sender):
        return 21212, "The 'From' number is not a valid phone number, short code or sender ID."
    if sender == FULL_SENDER:
        return 21611, "The 'From' number has exceeded the maximum number of queued messages."
    if service and not _SERVICE.fullmatch(service):
        return 21703, "The Messaging Service does not exist."
    if not body:
        return 21602, "Message body is required."
    if len(body) > _MAX_BODY:
        return 21617, "The message body exceeds the 1600 character limit."
    if "\0" in body:
        return 21618, "The message body cannot be sent."
    validity = form.get("ValidityPeriod", "1")
    if not _within(validity, _MAX_VALIDITY_S):
        return 21624, "The 'ValidityPeriod' must be between 1 and 36000 seconds."
    callback = form.get("StatusCallback")
    if callback and not can_be_called(callback):
        return 21609, "The 'StatusCallback' URL is not a valid URL."
    return _schedule_refusal(form, now) if "ScheduleType" in form else None


def _within(value: str, most: int) -> bool:
    return (
        value.isascii()
        and value.isdigit()
        and len(value) < len(str(most)) + 1
        and (1 <= int(value) <= most)
    )


def _schedule_refusal(form: Mapping[str, str], now: float) -> Refusal | None:
    if form["ScheduleType"] != "fixed":
        return 35126, "The 'ScheduleType' must be 'fixed'."
    if not form.get("MessagingServiceSid"):
        return 35118, "A 'MessagingServiceSid' is required to schedule a message."
    if not form.get("SendAt"):
        return 35111, "A 'SendAt' is required to schedule a message."
    at = send_at(form)
    if at is None or not _EARLIEST.total_seconds() <= at - now <= _LATEST.total_seconds():
        return 35114, "The 'SendAt' must be 15 minutes to 35 days ahead, in ISO 8601."
    return None


def send_at(form: Mapping[str, str]) -> float | None:
    """When a scheduled message goes out; null when it is not scheduled."""
    value = form.get("SendAt")
    if not value or form.get("ScheduleType") != "fixed":
        return None
    return moment(value)


def moment(value: str) -> float | None:
    """A date, from its midnight in GMT, or a time."""
    try:
        if len(value) == len("2026-11-24"):
            whole = date.fromisoformat(value)
            return datetime(whole.year, whole.month, whole.day, tzinfo=UTC).timestamp()
        at = datetime.fromisoformat(value)
    except ValueError:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
