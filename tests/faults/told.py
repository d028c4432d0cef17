"""What a bad day tells of people: values that nobody may emit, and the events that hold them."""

from __future__ import annotations

from typing import Any

TOLD = {
    "member's number": "+12025550187",
    "number of somebody dead": "+13055552391",
    "number that is none": "+12175552392",
    "number that is refused": "+12035552393",
    "number that works": "+12125552394",
    "invitee's number": "+12125552395",
    "number for a code": "+12125552396",
    "member's name": "Zebulon Quirinus",
    "contact's name": "Wilhelmina Ptarmigan",
    "invite code": "QZX7-WV93",
    "token that Apple refuses": "sim-apns-plantedtok81",
    "token that is gone": "sim-unregistered-plantedtok82",
    "token that works": "sim-ok-plantedtok83",
    "title": "Planted title xyzzy",
    "text": "Planted body plugh",
    "mail address": "zq.planted@example.com",
    "wrong API key": "pruuf_9plantedplantedplantedplanted",
}

DEVICES = {
    "c_dead": TOLD["token that Apple refuses"],
    "c_none": TOLD["token that is gone"],
    "c_refused": TOLD["token that works"],
}

_MEMBER = {
    "id": "m_1",
    "name": TOLD["member's name"],
    "phone": TOLD["member's number"],
}
_NUMBERS = {
    "c_dead": TOLD["number of somebody dead"],
    "c_none": TOLD["number that is none"],
    "c_refused": TOLD["number that is refused"],
    "c_works": TOLD["number that works"],
}
_CONTACTS = [
    {"id": contact, "name": TOLD["contact's name"], "phone": phone}
    for contact, phone in _NUMBERS.items()
]


def _event(kind: str, subject: str, data: dict[str, Any]) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": kind,
        "source": "bad-day",
        "type": kind,
        "time": "2026-11-23T09:00:00Z",
        "subject": subject,
        "data": data,
    }


_DUE = "2026-11-23T08:30:00Z"
LATER = "2026-11-23T08:31:00Z"

EVENTS: list[dict[str, Any]] = [
    _event("checkin.missed", "m_1", {"member": _MEMBER, "contacts": _CONTACTS, "due_at": _DUE}),
    _event(
        "checkin.confirmed",
        "m_2",
        {"member": {**_MEMBER, "id": "m_2"}, "contacts": _CONTACTS[:2], "at": _DUE},
    ),
    # With nobody to tell the operator is paged at once.
    {
        **_event(
            "checkin.missed",
            "m_4",
            {"member": {**_MEMBER, "id": "m_4"}, "contacts": [], "due_at": _DUE},
        ),
        "id": "alone",
    },
    _event(
        "member.invited",
        "m_3",
        {
            "inviter": {"id": "m_3", "name": TOLD["member's name"]},
            "invitee": {"name": TOLD["contact's name"], "phone": TOLD["invitee's number"]},
            "code": TOLD["invite code"],
        },
    ),
    _event(
        "announcement.published",
        "news",
        {
            "topic": "news",
            "title": {"en-US": TOLD["title"]},
            "body": {"en-US": TOLD["text"]},
            "recipients": ["c_refused"],
        },
    ),
    _event(
        "billing.account_opened",
        "c_pays",
        {"account": {"id": "c_pays", "email": TOLD["mail address"], "role": "contact"}},
    ),
]
"""One of each kind that holds something of somebody; the same id with other data is 422."""

SAID = (b"sms.send", b"push.send", b"operator.page", b"operator.mail", b"stripe.", b"UnsealError")
"""What relays log on such a day."""

CRASH = """
import asyncio, os, threading
from observability import logs
logs.configure()
text = os.environ["PLANTED"]
def fail(): raise ValueError(text)
async def forgotten():
    task = asyncio.create_task(asyncio.to_thread(fail))
    await asyncio.sleep(0.1)
    del task
asyncio.run(forgotten())
thread = threading.Thread(target=fail); thread.start(); thread.join()
try:
    fail()
except ValueError as error:
    raise RuntimeError(text) from error
"""
"""A process of ours: a task, a thread and itself end by what nobody caught."""
