"""Rows of accepted things, as the intake statements take them: JSON, bytes in base64."""

from __future__ import annotations

import base64

from outbox.domain.intake import NewEvent, NewNotification
from outbox.domain.states import Work


def b64(data: bytes) -> str:
    """Bytes as JSON can carry them."""
    return base64.b64encode(data).decode("ascii")


def event_row(event: NewEvent) -> dict[str, object]:
    """For ``intake_events``."""
    return {
        "shard": event.shard,
        "id": event.id,
        "source": event.source,
        "source_id": event.source_id,
        "type": event.type,
        "subject": event.subject,
        "occurred_at": event.occurred_at,
        "content_hash": b64(event.content_hash),
        "traceparent": event.traceparent,
        "tracestate": event.tracestate,
        "data": b64(event.data),
    }


def notification_row(
    notification: NewNotification,
    *,
    shard: int,
    event: object,
    subject: str,
    cancelled: str | None = None,
) -> dict[str, object]:
    """For ``intake_notifications``; ``cancelled`` is why it is cancelled as it comes."""
    return {
        "shard": shard,
        "id": notification.id,
        "event": event,
        "subject": subject,
        "recipient": notification.recipient,
        "kind": notification.kind,
        "lane": notification.lane,
        "plan": b64(notification.plan),
        "template": notification.template,
        "locale": notification.locale,
        "content": b64(notification.content),
        "phone_hash": None if notification.phone_hash is None else b64(notification.phone_hash),
        "clears": notification.clears,
        "country": notification.country,
        "state": "open" if cancelled is None else "cancelled",
        "reason": cancelled,
        "expires_after_s": notification.expires_after_s,
    }


def due_row(notification: NewNotification, *, shard: int) -> dict[str, object]:
    """For ``intake_due``."""
    return {
        "shard": shard,
        "notification": notification.id,
        "lane": notification.lane,
        "step": notification.first_step,
        "work": int(Work.SEND if notification.clears is None else Work.HOLD),
    }
