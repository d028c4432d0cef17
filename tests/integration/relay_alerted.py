"""An alert of one Contact, and what the Member does about it."""

from __future__ import annotations

from uuid import UUID

from msgspec import Struct

from outbox.domain.outcomes import Result
from outbox.store.settle import Settlement

from .relay_fakes import refused
from .relay_hand import Hand, person

DEAD_NUMBER = refused(Result.CHANNEL_FINAL, "21614")


class Alerted(Struct):
    """A Member, one Contact, and the alert about the one to the other."""

    member: str
    contact: tuple[str, str]
    alert: UUID


async def raise_alert(by_hand: Hand, *, device: bool = False) -> Alerted:
    member, contact = person("m")[0], person()
    if device:
        await by_hand.device(contact[0])
    told = await by_hand.accept(by_hand.missed(member, contact))
    return Alerted(member, contact, told[contact[0]])


async def check_in(by_hand: Hand, alerted: Alerted) -> dict[str, tuple[str, UUID]]:
    """The Member checks in; what becomes of it, by recipient: kind and id."""
    event = by_hand.confirmed(alerted.member, alerted.contact, hour=1)
    await by_hand.accept(event)
    query = "SELECT recipient, kind, id FROM notification WHERE event = %s"
    return {who: (kind, one) for who, kind, one in by_hand.rows(query, (event.id,))}


def texts_to(by_hand: Hand, alerted: Alerted) -> list[str]:
    """What was texted to the Contact: the words after the name of the service."""
    sent = [one.sms.body for one in by_hand.twilio.taken if one.sms.to == alerted.contact[1]]
    return ["alert" if body.startswith("Pruuf alert") else body.split()[1] for body in sent]


async def one_call(by_hand: Hand) -> Settlement:
    (assignment,) = await by_hand.claim()
    return await by_hand.call(assignment)
