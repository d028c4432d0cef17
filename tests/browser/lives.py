"""A small day by the real processes and the simulators, after minutes counted long ago."""

from __future__ import annotations

import json
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from gateway.cli.supervisor import Supervisor
from outbox.domain.ids import new_id
from outbox.simulators import magic
from tests.faults.stack import Stack

MINUTES = {
    ("sms", "delivered", "checkin.confirmed", ""): 9_990,
    ("sms", "refused", "checkin.confirmed", "30007"): 14,
    ("sms", "recipient", "checkin.confirmed", "30006"): 20,
    ("alerts", "reached", "checkin.missed", ""): 400,
    ("webhooks", "applied", "twilio", ""): 5_000,
    ("webhooks", "failed", "twilio", ""): 7,
    ("webhooks", "forged", "stripe", ""): 3,
}
"""Of three days ago; texts are below their target."""


def play(folder: Path, database_url: str, children: Supervisor) -> Stack:
    """Everything that can become of a notification, each once or a few times; all are final."""
    stack = Stack(folder, database_url, children)
    stack.start_edge()
    stack.start_relay("relay")
    post = _Poster(stack)
    post.person("c_dead", magic.number("undelivered_30005", 1), device=magic.token("delivered", 1))
    post.person("c_none", magic.number("invalid", 1))
    post.event("checkin.missed", "m_1", "c_1", magic.number("delivered", 1))
    post.event("checkin.missed", "m_2", "c_dead", magic.number("undelivered_30005", 1))
    post.event("checkin.missed", "m_3", "c_none", magic.number("invalid", 1))
    for n in range(5):
        post.event("checkin.confirmed", f"m_c{n}", f"c_c{n}", magic.number("delivered", 10 + n))
    post.event("member.invited", "m_4", "c_i", magic.number("delivered", 30))
    stack.wait_until_final(within_s=60)
    with psycopg.connect(database_url) as connection:
        minute = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(days=3)
        for (slo, outcome, kind, code), n in MINUTES.items():
            connection.execute(
                "INSERT INTO rollup_minute VALUES (0, %s, %s, %s, %s, %s, %s)",
                (minute, slo, outcome, kind, code, n),
            )
        identity = new_id(3)
        connection.execute(
            "INSERT INTO inbox (shard, id, provider, said, lane, body, done_at, note)"
            " VALUES (3, %s, 'stripe', 'evt_1', 2, 'sealed', now(),"
            " 'cannot be applied: a test said so')",
            (identity,),
        )
    return stack


class _Poster:
    """The app's backend."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._number = 0

    def _send(self, method: str, path: str, body: object) -> None:
        request = urllib.request.Request(
            f"{self._stack.gateway}{path}",
            data=json.dumps(body).encode(),
            method=method,
            headers={
                "Authorization": f"Bearer {self._stack.key}",
                "Content-Type": "application/json",
            },
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.status < 300

    def person(self, recipient: str, phone: str, *, device: str | None = None) -> None:
        """Somebody who is stored."""
        path = f"/v1/recipients/{recipient}"
        self._send("PUT", path, {"name": "Bob", "phone": phone})
        if device is not None:
            known = {"token": device, "address_kind": "fid", "platform": "ios"}
            self._send("PUT", f"{path}/devices/phone", known)

    def event(self, kind: str, subject: str, contact: str, phone: str) -> None:
        """A fact."""
        self._number += 1
        now = datetime.now(UTC)
        to: dict[str, Any] = {"id": contact, "name": "Bob", "phone": phone}
        member = {"id": subject, "name": "Alice", "phone": "+12025550123"}
        data: dict[str, Any] = {"member": member, "contacts": [to], "at": now.isoformat()}
        if kind == "checkin.missed":
            data["due_at"] = data.pop("at")
        if kind == "member.invited":
            data = {"inviter": {"id": subject, "name": "Alice"}, "invitee": to, "code": "K7-2291"}
        event = {
            "specversion": "1.0",
            "id": f"evt-{self._number}",
            "source": "backend",
            "type": kind,
            "time": now.isoformat(),
            "subject": subject,
            "data": data,
        }
        self._send("POST", "/v1/events", event)
