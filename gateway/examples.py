"""Examples for the API description; tests post them, so that they cannot go stale."""

from __future__ import annotations

import json
from typing import Any, Final

from gateway import billing_examples

_ALICE: Final = {"id": "m_1", "name": "Alice", "phone": "+12025550100"}
_BOB: Final = {
    "id": "c_1",
    "name": "Bob",
    "phone": "+12025550123",
    "locale": "en-US",
    "timezone": "America/New_York",
}
EVENT_ID: Final = "0193576a-8a40-7c1e-9b2f-5d1a3e6c7a0b"
NOTIFICATION_ID: Final = "0193576a-8a41-7f30-a6c4-0e9d2b7f810b"

CHECKIN_MISSED: Final[dict[str, Any]] = {
    "specversion": "1.0",
    "id": "evt-1",
    "source": "pruuf-backend",
    "type": "checkin.missed",
    "time": "2026-11-23T09:00:00Z",
    "subject": "m_1",
    "data": {"member": _ALICE, "contacts": [_BOB], "due_at": "2026-11-23T08:30:00Z"},
}
CHECKIN_CONFIRMED: Final[dict[str, Any]] = {
    **CHECKIN_MISSED,
    "id": "evt-2",
    "type": "checkin.confirmed",
    "time": "2026-11-23T09:20:00Z",
    "data": {
        "member": {"id": "m_1", "name": "Alice"},
        # Just the id of a stored recipient would do as well.
        "contacts": [_BOB],
        "at": "2026-11-23T09:20:00Z",
    },
}
MEMBER_INVITED: Final[dict[str, Any]] = {
    **CHECKIN_MISSED,
    "id": "evt-3",
    "type": "member.invited",
    "subject": "c_1",
    "data": {
        "inviter": {"id": "c_1", "name": "Bob"},
        "invitee": {"name": "Carol", "phone": "+12025550145"},
        "code": "HX7-2QK",
    },
}
ANNOUNCEMENT_PUBLISHED: Final[dict[str, Any]] = {
    **CHECKIN_MISSED,
    "id": "evt-4",
    "type": "announcement.published",
    "subject": "news",
    "data": {
        "topic": "news",
        "title": {"en": "A new version", "es": "Una nueva versión"},
        "body": {"en": "Check in from your watch.", "es": "Avise desde su reloj."},
    },
}
EVENTS: Final = {
    "a missed check-in": CHECKIN_MISSED,
    "a check-in": CHECKIN_CONFIRMED,
    "an invitation": MEMBER_INVITED,
    "an announcement to a topic": ANNOUNCEMENT_PUBLISHED,
    **billing_examples.EVENTS,
}
LINES: Final = {
    "a stream": "".join(json.dumps(each) + "\n" for each in (CHECKIN_MISSED, CHECKIN_CONFIRMED)),
}
BATCH: Final = {"two events": [CHECKIN_MISSED, MEMBER_INVITED]}

ACCEPTED: Final[dict[str, Any]] = {
    "event_id": EVENT_ID,
    "duplicate": False,
    "notifications": [
        {
            "id": NOTIFICATION_ID,
            "recipient": "c_1",
            "kind": "checkin.missed",
            "lane": "safety",
        },
    ],
}
REPLAYED: Final[dict[str, Any]] = {**ACCEPTED, "duplicate": True}
ACCEPTED_LINE: Final[dict[str, Any]] = {"line": 1, **ACCEPTED}
REFUSED_LINE: Final[dict[str, Any]] = {
    "type": "/problems/invalid",
    "title": "The request is malformed or invalid",
    "status": 400,
    "detail": "$.data.due_at: got nothing; accepted: an RFC 3339 time with its zone, like"
    " 2026-01-31T09:00:00Z",
    "errors": [
        {
            "path": "$.data.due_at",
            "got": "nothing",
            "accepted": "an RFC 3339 time with its zone, like 2026-01-31T09:00:00Z",
        },
    ],
    "line": 2,
}

EVENT: Final[dict[str, Any]] = {
    "event_id": EVENT_ID,
    "id": "evt-1",
    "source": "pruuf-backend",
    "type": "checkin.missed",
    "subject": "m_1",
    "occurred_at": "2026-11-23T09:00:00Z",
    "accepted_at": "2026-11-23T09:00:00.420000Z",
    "notifications": [
        {
            "id": NOTIFICATION_ID,
            "recipient": "c_1",
            "kind": "checkin.missed",
            "state": "delivered",
        },
    ],
}
SUMMARY: Final[dict[str, Any]] = {
    "id": NOTIFICATION_ID,
    "event_id": EVENT_ID,
    "kind": "checkin.missed",
    "subject": "m_1",
    "recipient": "c_1",
    "lane": "safety",
    "state": "delivered",
    "reason": None,
    "proof": "app",
    "channel": "push",
    "step": 1,
    "created_at": "2026-11-23T09:00:00.420000Z",
    "final_at": "2026-11-23T09:00:09.110000Z",
    "expires_at": "2026-11-23T15:00:00.420000Z",
    "next_at": None,
}
_UNKNOWN: Final = dict.fromkeys(
    ("channel", "step", "provider", "provider_id", "outcome", "code", "detail", "try", "latency_ms")
)
NOTIFICATION: Final[dict[str, Any]] = {
    **SUMMARY,
    "attempts": 2,
    "plan": [
        {"channel": "sms", "receipt_within_s": 60, "retry_within_s": 60},
        {"channel": "push", "receipt_within_s": 30, "retry_within_s": 30},
    ],
    "timeline": [
        {
            **_UNKNOWN,
            "at": "2026-11-23T09:00:00.420000Z",
            "what": "accepted",
            "detail": "from pruuf-backend (evt-1)",
        },
        {
            **_UNKNOWN,
            "at": "2026-11-23T09:00:00.431000Z",
            "what": "attempt",
            "channel": "sms",
            "step": 0,
            "provider": "twilio",
            "provider_id": "SM00000000000000000000000000000000",
            "outcome": "accepted",
            "try": 1,
            "latency_ms": 132,
        },
        {
            **_UNKNOWN,
            "at": "2026-11-23T09:00:04.700000Z",
            "what": "receipt",
            "channel": "sms",
            "step": 0,
            "provider": "twilio",
            "provider_id": "SM00000000000000000000000000000000",
            "outcome": "undelivered",
            "code": "30005",
        },
        {
            **_UNKNOWN,
            "at": "2026-11-23T09:00:04.700000Z",
            "what": "decision",
            "channel": "push",
            "step": 1,
            "outcome": "next_step",
            "code": "30005",
            "detail": "sms undelivered: next push",
        },
        {
            **_UNKNOWN,
            "at": "2026-11-23T09:00:09.110000Z",
            "what": "decision",
            "channel": "push",
            "outcome": "delivered",
            "detail": "acknowledged by the app",
        },
    ],
}
READY: Final[dict[str, Any]] = {
    "ready": True,
    "degraded": True,
    "checks": [
        {"name": "database", "ok": True, "detail": "reachable, schema 0001"},
        {"name": "relays", "ok": False, "detail": "0 relays seen within 30 s"},
    ],
}

RECIPIENT: Final[dict[str, Any]] = {
    "phone": "+12025550123",
    "name": "Bob",
    "locale": "en-US",
    "timezone": "America/New_York",
}
RECIPIENT_STORED: Final[dict[str, Any]] = {
    "id": "c_1",
    **RECIPIENT,
    "created_at": "2026-11-20T10:00:00Z",
    "updated_at": "2026-11-23T08:00:00Z",
    "devices": [
        {
            "id": "d_1",
            "platform": "ios",
            "address_kind": "token",
            "seen_at": "2026-11-23T07:00:00Z",
            "dead_at": None,
        },
    ],
}
READINESS: Final[dict[str, Any]] = {
    "recipient": "c_1",
    "reachable": True,
    "channels": [
        {"channel": "sms", "able": True, "why": None, "proven_at": "2026-11-22T09:00:03Z"},
        {"channel": "push", "able": False, "why": "no_device", "proven_at": None},
    ],
}
DEVICE: Final[dict[str, Any]] = {
    "token": "dGhlLWFwcHMtdG9rZW4:APA91bE",
    "address_kind": "token",
    "platform": "ios",
}
PUSH_RECEIPT: Final[dict[str, Any]] = {
    "receipt_token": "from the push's data",
    "event": "received",
}
TWILIO_INBOUND: Final[dict[str, Any]] = {
    "MessageSid": "SM00000000000000000000000000000000",
    "From": "+12025550123",
    "To": "+12025550100",
    "Body": "STOP",
    "OptOutType": "STOP",
}

VERIFICATION: Final[dict[str, Any]] = {"phone": "+12025550123", "locale": "en-US"}
VERIFICATION_OPENED: Final[dict[str, Any]] = {
    "id": "0193576a-8a42-7a51-8e3b-6f2c4d7e9a0b",
    "expires_at": "2026-11-23T09:10:00.420000Z",
}
GUESS: Final[dict[str, Any]] = {"code": "123456"}
WRONG_GUESS: Final[dict[str, Any]] = {"status": "pending", "checks_left": 4}

FOLLOWED: Final[dict[str, Any]] = {"notifications": [NOTIFICATION_ID]}

REASON: Final[dict[str, Any]] = {"reason": "the Member is with us"}

TWILIO_STATUS: Final[dict[str, Any]] = {
    "MessageSid": "SM00000000000000000000000000000000",
    "MessageStatus": "undelivered",
    "ErrorCode": "30005",
}
