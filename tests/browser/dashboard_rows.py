"""Rows for the dashboard's tests: lives as the relay leaves them, with fixed ages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg

from outbox.domain import plans
from outbox.domain.ids import new_id, shard_of
from outbox.domain.states import Work

SECRET = b"sealed"


class Rows:
    """Inserts notifications with their calls and receipts; commits with its connection."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self.now = datetime.now(UTC)
        self._number = 0

    def notification(
        self,
        kind: str,
        *,
        age_s: float,
        state: str = "delivered",
        channel: str | None = "sms",
        reason: str | None = None,
        work: int | None = None,
        overdue_s: float = -3600,
    ) -> UUID:
        self._number += 1
        member = f"m_{self._number}"
        shard = shard_of(member)
        at = self.now - timedelta(seconds=age_s)
        made = int(at.timestamp() * 1000)
        event, identity = new_id(shard, at_ms=made), new_id(shard, at_ms=made)
        self._connection.execute(
            "INSERT INTO event (shard, id, source, source_id, type, subject, occurred_at,"
            " accepted_at, content_hash, data) VALUES (%s,%s,'backend',%s,%s,%s,%s,%s,%s,%s)",
            (shard, event, f"evt-{self._number}", kind, member, at, at, b"h", SECRET),
        )
        delivered = state == "delivered"
        final = None if work is not None else at + timedelta(seconds=2)
        plan = plans.defaults()[kind]
        self._connection.execute(
            "INSERT INTO notification (shard, id, event, subject, recipient, kind, lane, plan,"
            " template, locale, content, state, reason, proof, channel, created_at, expires_at,"
            " final_at) VALUES (%s,%s,%s,%s,%s,%s,%s,%s,'t','en-US',%s,%s,%s,%s,%s,%s,%s,%s)",
            (
                *(shard, identity, event, member, f"c_{self._number}", kind, plan.lane_number),
                *(plans.encode(plan), SECRET, state, reason, "carrier" if delivered else None),
                *(channel if delivered else None, at, at + timedelta(days=1), final),
            ),
        )
        if work is not None:
            self._connection.execute(
                "INSERT INTO due (shard, notification, lane, work, due_at, receipt_until)"
                " VALUES (%s,%s,%s,%s,"
                " CASE WHEN %s THEN 'infinity' ELSE now() - make_interval(secs => %s) END,"
                " CASE WHEN %s THEN now() + interval '1 hour' END)",
                (
                    *(shard, identity, plan.lane_number, work),
                    *(state == "parked", overdue_s, work == Work.AWAIT),
                ),
            )
        return identity

    def attempt(
        self,
        notification: UUID,
        *,
        step: int,
        channel: str,
        after_ms: int,
        result: str = "accepted",
        code: str | None = None,
    ) -> None:
        self._connection.execute(
            "INSERT INTO attempt (shard, notification, fence, step, try, channel, provider, result,"
            " code, at, latency_ms) SELECT shard, id, %s, %s, 1, %s, %s, %s, %s,"
            " created_at + make_interval(secs => %s), 80 FROM notification WHERE id = %s",
            (
                *(step + 1, step, channel, "fcm" if channel == "push" else "twilio", result, code),
                *(after_ms / 1000, notification),
            ),
        )

    def receipt(
        self, notification: UUID, *, step: int, status: str, rank: int, code: str | None = None
    ) -> None:
        self._connection.execute(
            "INSERT INTO receipt (shard, notification, source, said, fence, step, status, code,"
            " rank, at) SELECT shard, id, 'twilio', %s, %s, %s, %s, %s, %s,"
            " created_at + interval '1 second' FROM notification WHERE id = %s",
            (f"{status}{step}", step + 1, step, status, code, rank, notification),
        )

    def relay(self, *, seen_s: float) -> None:
        self._connection.execute(
            "INSERT INTO relay (shard, id, host, pid, seen_at)"
            " VALUES (0, %s, 'here', 1, now() - make_interval(secs => %s))",
            (new_id(0), seen_s),
        )

    def inbox(self, *, done: bool = False) -> None:
        identity = new_id(3)
        self._connection.execute(
            "INSERT INTO inbox (shard, id, provider, said, lane, body, done_at)"
            " VALUES (3, %s, 'twilio', %s, 2, %s, CASE WHEN %s THEN now() END)",
            (identity, str(identity), SECRET, done),
        )


def a_day(rows: Rows) -> UUID:
    """Some of everything within the last hour, and one outside; returns one that fell back."""
    for number in range(7):
        fine = rows.notification("checkin.confirmed", age_s=60 + number * 60)
        rows.attempt(fine, step=0, channel="sms", after_ms=10 * (number + 1))
        rows.receipt(fine, step=0, status="delivered", rank=9)
    fell = rows.notification("checkin.missed", age_s=300, channel="push")
    rows.attempt(fell, step=0, channel="sms", after_ms=20)
    rows.receipt(fell, step=0, status="undelivered", rank=8, code="30005")
    rows.attempt(fell, step=1, channel="push", after_ms=1010)
    silent = rows.notification("checkin.missed", age_s=600, channel="push")
    rows.attempt(silent, step=0, channel="sms", after_ms=20)
    rows.receipt(silent, step=0, status="sent", rank=4)
    rows.attempt(silent, step=1, channel="push", after_ms=60_020)
    # A failure of the third step is no reason why the first one was left.
    rows.attempt(silent, step=2, channel="sms", after_ms=90_020)
    rows.receipt(silent, step=2, status="undelivered", rank=8, code="30003")
    lost = rows.notification(
        "checkin.confirmed", age_s=400, state="undeliverable", reason="no_device"
    )
    rows.attempt(lost, step=0, channel="sms", after_ms=5, result="channel_final", code="no_number")
    rows.attempt(lost, step=1, channel="push", after_ms=9, result="channel_final", code="no_device")
    rows.notification("member.invited", age_s=100, state="cancelled", reason="cancelled")
    rows.notification("member.invited", age_s=90, state="parked", reason="twilio_20003", work=0)
    rows.notification("member.invited", age_s=80, state="open", work=0, overdue_s=50)
    waiting = rows.notification("member.invited", age_s=70, state="open", work=1)
    rows.attempt(waiting, step=0, channel="sms", after_ms=30)
    rows.notification("member.invited", age_s=2 * 3600)
    rows.relay(seen_s=1)
    rows.relay(seen_s=300)
    rows.inbox()
    rows.inbox()
    rows.inbox(done=True)
    return fell
