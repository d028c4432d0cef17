"""The push as FCM takes it, built and validated by firebase-admin: shown by the system itself.

Notification and data together show on Android and iOS whether the app is in front, behind or
killed; the app reads the data when it runs.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec
from firebase_admin import messaging
from msgspec import Struct

from outbox.domain import announcements, canaries, readiness
from outbox.domain.messages import AddressKind, Push


class _Shown(Struct, frozen=True):
    """How loudly a push is shown."""

    channel: str
    """Android's channel, which the app makes and its user may silence."""
    sound: str | None = None
    """``default`` is on every phone; one of the app's own that is missing would be silence."""
    level: str | None = None
    """Apple's interruption level; null: ``active``."""


_ALERTS = _Shown("alerts", "default", "time-sensitive")
_NOTES = _Shown("notes", "default")
# Nobody waits for it: it lies in the list until somebody looks.
_ANNOUNCEMENTS = _Shown("announcements", None, "passive")
_OF_A_KIND = {announcements.KIND: _ANNOUNCEMENTS}
_SILENT = frozenset({readiness.PROOF, canaries.PUSH})
"""Kinds that show nothing."""


def _shown(push: Push) -> _Shown:
    usual = _ALERTS if push.urgent else _NOTES
    return _OF_A_KIND.get(push.data.get("kind", ""), usual)


def body(push: Push, *, now: float) -> bytes:
    """The request's body; ``now`` is Unix time, from which Apple counts. `ValueError`: impossible.

    There is no collapse key. For a message with a notification FCM takes the app's name instead,
    whatever is given; and where one did count, a device could have four: with one for each
    notification the fifth that waits for a phone to be switched on would throw out any of the
    others. What is sent again is the same by its tag and its id in the data, and replaces what is
    shown. A phone that was off may show only the newest, so an alert relies on the app's
    acknowledgement and not on FCM's store.
    """
    if push.data.get("kind") in _SILENT:
        return _encoded(push, _silent(push, now))
    urgent, shown = push.urgent, _shown(push)
    message = messaging.Message(
        **_target(push),
        data=dict(push.data),
        notification=messaging.Notification(title=push.title, body=push.body),
        android=messaging.AndroidConfig(
            priority="high" if urgent else "normal",
            ttl=push.ttl_s,
            notification=messaging.AndroidNotification(
                channel_id=shown.channel,
                priority="max" if urgent else "default",
                sound=shown.sound,
                tag=push.tag,
            ),
        ),
        apns=messaging.APNSConfig(
            headers={
                "apns-priority": "10" if urgent else "5",
                "apns-expiration": str(int(now) + push.ttl_s),
                "apns-collapse-id": push.tag,
            },
            payload=messaging.APNSPayload(
                aps=messaging.Aps(
                    sound=shown.sound,
                    custom_data={"interruption-level": shown.level} if shown.level else None,
                ),
            ),
        ),
    )
    return _encoded(push, message)


def _silent(push: Push, now: float) -> messaging.Message:
    """Data alone, at low priority: the app is woken when it suits the phone, and shows nothing."""
    return messaging.Message(
        **_target(push),
        data=dict(push.data),
        android=messaging.AndroidConfig(priority="normal", ttl=push.ttl_s),
        apns=messaging.APNSConfig(
            headers={
                "apns-push-type": "background",
                "apns-priority": "5",
                "apns-expiration": str(int(now) + push.ttl_s),
            },
            payload=messaging.APNSPayload(aps=messaging.Aps(content_available=True)),
        ),
    )


def _encoded(push: Push, message: messaging.Message) -> bytes:
    built: dict[str, Any] = json.loads(str(message))
    if push.address_kind is AddressKind.TOKEN:
        built["token"] = built.pop("fid")
    return msgspec.json.encode({"message": built})


def _target(push: Push) -> dict[str, str]:
    if push.address_kind in {AddressKind.TOPIC, AddressKind.CONDITION}:
        return {str(push.address_kind): push.address}
    # Built as an installation id in any case: the library warns of the older tokens, which apps in
    # the field still have.
    return {"fid": push.address}


def dry_run() -> bytes:
    """The body of a request that is judged like a send and reaches nobody."""
    built = json.loads(str(messaging.Message(topic="pruuf-check", data={"kind": "check"})))
    return msgspec.json.encode({"message": built, "validate_only": True})
