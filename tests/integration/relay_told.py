"""Alerts and notes on their way."""

from __future__ import annotations

from uuid import UUID

from outbox.domain.outcomes import Result

from .relay_fakes import refused
from .relay_hand import Hand, person

SLOWER = refused(Result.RETRYABLE, "20429")


async def raise_alert(by_hand: Hand, *, device: bool = True) -> UUID:
    contact = person()
    if device:
        await by_hand.device(contact[0])
    return (await by_hand.accept(by_hand.missed(person("m")[0], contact)))[contact[0]]


async def make_note(by_hand: Hand, *, device: bool = False, count: int = 1) -> list[UUID]:
    contacts = [person() for _ in range(count)]
    if device:
        for contact, _ in contacts:
            await by_hand.device(contact)
    told = await by_hand.accept(by_hand.confirmed(person("m")[0], *contacts))
    return [told[contact] for contact, _ in contacts]


# Retries.
