"""An alert whose receipt is awaited, and what is said of it."""

from __future__ import annotations

from uuid import UUID

from .relay_hand import Hand, person

SENT, ARRIVED = ("sent", None), ("delivered", None)
FAILED, REFUSED = ("undelivered", "30008"), ("undelivered", "30007")


async def raise_alert(by_hand: Hand, *, device: bool = True) -> UUID:
    contact = person()
    if device:
        await by_hand.device(contact[0])
    told = await by_hand.accept(by_hand.missed(person("m")[0], contact))
    return told[contact[0]]
