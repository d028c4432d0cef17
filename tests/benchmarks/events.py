"""The event that is posted: a confirmed check-in with one Contact, every one different."""

from __future__ import annotations

import json

SINGLE = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
WHAT = "checkin.confirmed of one Member with one Contact, every id and number new"

MARK = "#"
"""Stands for seven digits, different in each event; nothing else in an event holds it."""


def template(run: str, *, missed: bool = False) -> str:
    """One event as JSON, with marks; ``run`` keeps its ids apart from those of others."""
    subject = f"{run}-m{MARK}"
    event = {
        "specversion": "1.0",
        "id": f"e{MARK}",
        "source": run,
        "type": "checkin.missed" if missed else "checkin.confirmed",
        "time": "2026-11-23T09:00:00Z",
        "subject": subject,
        "data": {
            "member": {"id": subject, "name": "Alice Example", "phone": "+12025550123"},
            "contacts": [
                {
                    "id": f"{run}-c{MARK}",
                    "name": "Bob Example",
                    "phone": f"+1998{MARK}",
                    "locale": "en-US",
                    "timezone": "America/New_York",
                },
            ],
            "due_at" if missed else "at": "2026-11-23T08:30:00Z",
        },
    }
    return json.dumps(event, separators=(",", ":"))


def filled(text: str, number: int) -> str:
    """The event of this number."""
    return text.replace(MARK, f"{number:07d}")


def batch(text: str, numbers: range) -> bytes:
    """A body with the events of these numbers."""
    return f"[{','.join(filled(text, number) for number in numbers)}]".encode()
