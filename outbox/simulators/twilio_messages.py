"""Twilio's message as a resource and as a callback, and what becomes of it over time."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache

from outbox.simulators.ledger import Entry
from outbox.simulators.ledger_reads import Found
from outbox.simulators.outcomes import Outcome

ACCOUNT_SID = "AC" + "5" * 32
PREFIX = f"/2010-04-01/Accounts/{ACCOUNT_SID}"
SENDERS = ("+15005550006", "+15005550007")
API_VERSION = "2010-04-01"

Timeline = tuple[tuple[float, str, int | None], ...]

_FINAL_APART = 4
"""A second final status comes after so many times the first one's delay."""

_NOT_SENT = frozenset({"queued", "accepted", "scheduled", "canceled"})
_EXPLAINED = {
    30001: "Queue overflow",
    30003: "Unreachable destination handset",
    30005: "Unknown destination handset",
    30006: "Landline or unreachable carrier",
    30007: "Message filtered",
    30008: "Unknown error",
}


def timeline(outcome: Outcome, start: float, *, sent_s: float, final_s: float) -> Timeline:
    """When which status comes; ``sent_s`` and ``final_s`` are delays from ``start``."""
    steps = []
    final = final_s
    for status, code in outcome.told:
        if status == "sent":
            steps.append((start + sent_s, status, code))
        else:
            steps.append((start + final, status, code))
            final *= _FINAL_APART
    return tuple(steps)


def first_status(entry: Entry) -> str:
    """What the answer to the create call says."""
    if entry.due_at is not None:
        return "scheduled"
    return "accepted" if entry.service else "queued"


def state(found: Found, now: float) -> tuple[str, int | None, float]:
    """Status, error code, and since when."""
    entry = found.entry
    if found.canceled_at is not None:
        return "canceled", None, found.canceled_at
    newest: tuple[str, int | None, float] = (first_status(entry), None, entry.accepted_at)
    if entry.due_at is not None and now >= entry.due_at:
        newest = ("accepted", None, entry.due_at)
    for at, status, code in entry.timeline:
        if at <= now:
            newest = (status, code, at)
    return newest


@lru_cache(maxsize=256)
def _date(second: int) -> str:
    return format_datetime(datetime.fromtimestamp(second, tz=UTC))


def resource(
    entry: Entry,
    status: str,
    code: int | None = None,
    since: float | None = None,
) -> dict[str, object]:
    """The message as the API shows it."""
    created = _date(int(entry.accepted_at))
    sent = entry.sent_at is not None and status not in _NOT_SENT
    return {
        "account_sid": ACCOUNT_SID,
        "api_version": API_VERSION,
        "body": entry.text,
        "date_created": created,
        "date_sent": _date(int(entry.sent_at)) if sent and entry.sent_at else None,
        "date_updated": created if since is None else _date(int(since)),
        "direction": "outbound-api",
        "error_code": code,
        "error_message": None if code is None else _EXPLAINED.get(code),
        "from": None if entry.service and status in _NOT_SENT else entry.sender,
        "messaging_service_sid": entry.service or None,
        "num_media": "0",
        "num_segments": str(segments(entry.text)),
        "price": "-0.00790" if sent else None,
        "price_unit": "USD",
        "sid": entry.id,
        "status": status,
        "subresource_uris": {"media": f"{PREFIX}/Messages/{entry.id}/Media.json"},
        "to": entry.to,
        "uri": f"{PREFIX}/Messages/{entry.id}.json",
    }


def callback_fields(entry: Entry, status: str, code: int | None, at: float) -> dict[str, str]:
    """The form of a status callback."""
    fields = {
        "AccountSid": ACCOUNT_SID,
        "ApiVersion": API_VERSION,
        "From": entry.sender,
        "MessageSid": entry.id,
        "MessageStatus": status,
        "SmsSid": entry.id,
        "SmsStatus": status,
        "To": entry.to,
    }
    if entry.service:
        fields["MessagingServiceSid"] = entry.service
    if code is not None:
        fields["ErrorCode"] = str(code)
    if status in {"delivered", "undelivered"}:
        # The carrier's minute, without seconds or time zone.
        fields["RawDlrDoneDate"] = datetime.fromtimestamp(at, tz=UTC).strftime("%y%m%d%H%M")
    return fields


_GSM = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    "ÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà",
)
_GSM_ESCAPED = frozenset("^{}\\[~]|€")
_GSM_ALL = _GSM | _GSM_ESCAPED


def segments(text: str) -> int:
    """Parts that a text is sent in: of 160 or 153 GSM-7 characters, or 70 or 67 UCS-2 units."""
    used = set(text)
    if used <= _GSM:
        units, single, joined = len(text), 160, 153
    elif used <= _GSM_ALL:
        # Escaped characters take two places.
        units, single, joined = len(text) + sum(map(text.count, used & _GSM_ESCAPED)), 160, 153
    else:
        units, single, joined = len(text.encode("utf-16-le", "replace")) // 2, 70, 67
    return 1 if units <= single else -(-units // joined)
