"""What a visitor may try while a demonstration runs: a curl that works when it is pasted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from outbox.simulators import magic


def curl(gateway: str, key: str, *, run: str) -> str:
    """A missed check-in, as of now, of a Member whose Contact's phone works."""
    now = datetime.now(UTC).replace(microsecond=0)
    member = f"m_try_{run}"
    event = {
        "specversion": "1.0",
        "id": f"try-{run}",
        "source": "me",
        "type": "checkin.missed",
        "time": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        "subject": member,
        "data": {
            "member": {"id": member, "name": "Alice", "phone": magic.number("delivered", 1)},
            "contacts": [
                {"id": f"c_try_{run}", "name": "Bob", "phone": magic.number("delivered", 2)},
            ],
            "due_at": f"{now - timedelta(minutes=30):%Y-%m-%dT%H:%M:%SZ}",
        },
    }
    return (
        f"curl -s {gateway}/v1/events -H 'Authorization: Bearer {key}' \\\n"
        f"  -H 'Content-Type: application/json' -d '{msgspec.json.encode(event).decode()}'"
    )
