"""What FCM checks of a message, and its errors in its own shape."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from outbox.simulators.asgi import Reply, json_reply

TARGETS = ("token", "fid", "topic", "condition")

_MAX_PAYLOAD = 4096
_MAX_TOPIC_PAYLOAD = 2048
_MAX_TTL_S = 2_419_200

_FIELDS = frozenset(
    {*TARGETS, "name", "data", "notification", "android", "webpush", "apns", "fcm_options"},
)
_RESERVED = frozenset({"from", "notification", "message_type"})
_RESERVED_STARTS = ("google", "gcm")
_TTL = re.compile(r"(\d{1,9})(\.\d{1,9})?s", re.ASCII)

_DETAIL = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
_BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}

Violation = tuple[str, str]
"""A field, and what is wrong with it."""


def failure(
    status: int,
    detail: str | None,
    message: str,
    *,
    violation: Violation | None = None,
    retry_after: int | None = None,
) -> Reply:
    """An error in FCM's shape; ``detail`` is its own error code, null when it gives none."""
    error: dict[str, object] = {
        "code": status,
        "message": message,
        "status": _STATUS.get(status, "UNKNOWN"),
    }
    details: list[dict[str, object]] = []
    if detail is not None:
        details.append({"@type": _DETAIL, "errorCode": detail})
    if violation is not None:
        field, description = violation
        violations = [{"field": field, "description": description}]
        details.append({"@type": _BAD_REQUEST, "fieldViolations": violations})
    if details:
        error["details"] = details
    reply = json_reply(status, {"error": error})
    reply.refused, reply.retry_after = detail or str(status), retry_after
    return reply


def violation(message: Mapping[str, Any]) -> Violation | None:  # noqa: PLR0911 - a table
    """What is wrong with a message; null when nothing is."""
    unknown = sorted(message.keys() - _FIELDS)
    if unknown:
        return f"message.{unknown[0]}", "Unknown name: cannot find field."
    targets = [name for name in TARGETS if message.get(name)]
    if len(targets) != 1 or not isinstance(message[targets[0]], str):
        return "message", "Exactly one of token, fid, topic or condition is required, as a string."
    data, shown = message.get("data", {}), message.get("notification", {})
    if not isinstance(shown, dict):
        return "message.notification", "Not an object."
    if not isinstance(data, dict):
        return "message.data", "Not an object."
    for name, value in data.items():
        if not isinstance(value, str):
            return f"message.data[{name}]", "Values must be strings."
        if not name or name in _RESERVED or name.startswith(_RESERVED_STARTS):
            return f"message.data[{name}]", "This key is reserved."
    most = _MAX_PAYLOAD if targets[0] in {"token", "fid"} else _MAX_TOPIC_PAYLOAD
    if _size(data) + _size(shown) > most:
        return "message", f"The payload is over {most} bytes."
    return _ttl_violation(message)


def _size(values: Mapping[str, Any]) -> int:
    return sum(len(name.encode()) + len(str(value).encode()) for name, value in values.items())


def _ttl_violation(message: Mapping[str, Any]) -> Violation | None:
    android = message.get("android", {})
    ttl = android.get("ttl", "0s") if isinstance(android, dict) else None
    fits = _TTL.fullmatch(ttl) if isinstance(ttl, str) else None
    if fits is None or int(fits[1]) > _MAX_TTL_S:
        return "message.android.ttl", f"Not a duration of 0s to {_MAX_TTL_S}s."
    return None
