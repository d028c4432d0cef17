"""Notifications, and what a person does to them."""

from __future__ import annotations

from uuid import UUID

from outbox.store import actions
from outbox.store.settle import Settlement

from .relay_hand import Hand, person


async def raise_alert(by_hand: Hand) -> UUID:
    contact = person()
    await by_hand.device(contact[0])
    return (await by_hand.accept(by_hand.missed(person("m")[0], contact)))[contact[0]]


async def make_note(by_hand: Hand) -> UUID:
    contact = person()
    await by_hand.device(contact[0])
    return (await by_hand.accept(by_hand.confirmed(person("m")[0], contact)))[contact[0]]


async def cancel_it(by_hand: Hand, notification: UUID) -> tuple[str, str]:
    done = await actions.cancel(
        await by_hand.gateway(), notification, actor="me", reason="sent by mistake"
    )
    assert done is not None
    return done.result, done.state


async def redrive_it(by_hand: Hand, notification: UUID) -> tuple[str, str]:
    done = await actions.redrive(await by_hand.gateway(), notification, actor="me", reason="again")
    assert done is not None
    return done.result, done.state


async def one_call(by_hand: Hand) -> Settlement:
    (assignment,) = await by_hand.claim()
    return await by_hand.call(assignment)


# Cancel.
