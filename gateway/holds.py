"""``/v1/providers``: who of them is called, and what a person does so that one of them is not."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, Router, get, post
from litestar.params import FromPath, RawBody
from msgspec import Meta, Struct

from gateway import cards
from gateway import operating_examples as examples
from gateway.auth import requires
from gateway.decoding import JSON, decode, require_media_type
from gateway.documented import Answer, Body, documented
from gateway.problems import NOT_FOUND, Problem
from gateway.resources import Resources, resources_of
from outbox.domain.holds import CHANNELS, LONGEST_S, covers
from outbox.sealing import Sealer
from outbox.store import holds
from outbox.store.holds import Hold, Touched
from outbox.store.keys import Scope, StoredKey

_HASH = re.compile(r"[0-9a-f]{16}\Z")
_TEXT = r"^[^\x00-\x1f\x7f]+\Z"
Sender = Annotated[str, Meta(min_length=1, max_length=64, pattern=_TEXT)]
Why = Annotated[str, Meta(min_length=1, max_length=500, pattern=_TEXT)]


class HoldWanted(Struct, frozen=True, forbid_unknown_fields=True):
    """Whom not to call, why and for how long."""

    reason: Why
    """Kept for ever with who and when."""
    for_s: Annotated[float, Meta(ge=1, le=LONGEST_S)]
    """Seconds, rounded down; then it ends by itself."""
    sender: Sender | None = None
    """One of the provider's senders, as in ``TWILIO_FROM`` or as the list names it; null: all."""
    dry_run: bool = False
    """Says what it would touch, and holds nothing."""


class ReleaseWanted(Struct, frozen=True, forbid_unknown_fields=True):
    """Whom to call again, and why."""

    reason: Why
    """Kept for ever with who and when."""
    sender: Sender | None = None
    """Only the hold of this sender; null: every hold of the provider."""


class SenderSeen(Struct, frozen=True, kw_only=True):
    """A sender that the relays use."""

    provider: str
    sender: str
    """A keyed hash; empty where the provider has no senders."""
    called: bool
    """Neither held, nor stopped by a majority of the relays as calls fail."""
    hold: Hold | None
    """The hold that keeps it from being called the longest; null: nobody holds it."""


class ProviderList(Struct, frozen=True):
    """All of them, and the holds in force."""

    items: list[SenderSeen]
    holds: list[Hold]
    """Also of what no relay has said to use."""


class HoldAnswer(Struct, frozen=True, kw_only=True):
    """What came of it, or would."""

    provider: str
    sender: str
    """A keyed hash; empty: all of the provider."""
    result: Literal["held", "would_be_held", "released", "not_held"]
    until: datetime | None
    """By the database's clock; null unless it is held."""
    touched: Touched
    """What waits in the outbox and is touched by it now."""


_hold_decoder = msgspec.json.Decoder(HoldWanted)
_release_decoder = msgspec.json.Decoder(ReleaseWanted)


def sender_of(sealer: Sealer, given: str | None) -> str:
    """The keyed hash of a sender that somebody names; empty for none."""
    if given is None:
        return ""
    return given if _HASH.match(given) else sealer.lookup(given.strip()).hex()[:16]


@get(
    "/v1/providers",
    guards=[requires(Scope.READ)],
    opt=documented(
        scope=Scope.READ,
        answers={200: Answer("All", ProviderList, examples={"one held": examples.PROVIDERS})},
    ),
    tags=["providers"],
)
async def list_providers(request: Request[Any, Any, Any]) -> ProviderList:
    """List providers and who holds them. Senders are named by a hash, as they are numbers."""
    async with resources_of(request).operators() as connection:
        held, senders = await holds.read(connection)
    found = [
        SenderSeen(
            provider=each.provider,
            sender=each.sender,
            called=each.usable,
            hold=next((h for h in reversed(held) if covers(h.provider, h.sender, each)), None),
        )
        for each in sorted(senders, key=lambda each: (each.provider, each.sender))
    ]
    return ProviderList(found, held)


def _documented(text: str, body: Body) -> dict[str, Any]:
    return documented(
        scope=Scope.OPERATE,
        bodies={"application/json": body},
        answers={200: Answer(text, HoldAnswer)},
        problems=(NOT_FOUND,),
    )


@post(
    "/v1/providers/{provider:str}/hold",
    guards=[requires(Scope.OPERATE)],
    status_code=200,
    opt=_documented(
        "Held, or what it would touch", Body(HoldWanted, {"for an hour": examples.HOLD})
    ),
    tags=["providers"],
)
async def hold_provider(
    request: Request[Any, Any, Any], provider: FromPath[str], body: RawBody
) -> HoldAnswer:
    """Keep every relay from calling a provider. Alerts take their next step, others wait."""
    require_media_type(request.headers, JSON)
    wanted = decode(_hold_decoder, body)
    cards.refuse(body)
    resources = resources_of(request)
    sender = await _known(resources, provider, wanted.sender)
    until = None
    key: StoredKey = request.scope["auth"]
    async with resources.operators() as connection:
        touched = await holds.touched(connection, provider, sender)
        if not wanted.dry_run:
            held = await holds.hold(
                connection,
                provider,
                sender,
                for_s=int(wanted.for_s),
                actor=f"key {key.id} ({key.name})",
                reason=wanted.reason,
            )
            until = held.until
    return HoldAnswer(
        provider=provider,
        sender=sender,
        result="would_be_held" if wanted.dry_run else "held",
        until=until,
        touched=touched,
    )


@post(
    "/v1/providers/{provider:str}/release",
    guards=[requires(Scope.OPERATE)],
    status_code=200,
    opt=_documented("Released, or nobody held it", Body(ReleaseWanted, {"all": examples.RELEASE})),
    tags=["providers"],
)
async def release_provider(
    request: Request[Any, Any, Any], provider: FromPath[str], body: RawBody
) -> HoldAnswer:
    """Let the relays call a provider again. Within seconds; `not_held`: nobody held it."""
    require_media_type(request.headers, JSON)
    wanted = decode(_release_decoder, body)
    cards.refuse(body)
    resources = resources_of(request)
    if provider not in CHANNELS:
        raise Problem(NOT_FOUND, _NO_SUCH)
    sender = sender_of(resources.sealer, wanted.sender)
    key: StoredKey = request.scope["auth"]
    async with resources.operators() as connection:
        touched = await holds.touched(connection, provider, sender)
        ended = await holds.release(
            connection,
            provider,
            sender,
            actor=f"key {key.id} ({key.name})",
            reason=wanted.reason,
        )
    return HoldAnswer(
        provider=provider,
        sender=sender,
        result="released" if ended else "not_held",
        until=None,
        touched=touched,
    )


async def _known(resources: Resources, provider: str, given: str | None) -> str:
    """The sender to hold, or a 404: a hold of nobody would calm whoever asked for it."""
    if provider not in CHANNELS:
        raise Problem(NOT_FOUND, _NO_SUCH)
    sender = sender_of(resources.sealer, given)
    if sender:
        async with resources.operators() as connection:
            _, senders = await holds.read(connection)
        if not any(each.provider == provider and each.sender == sender for each in senders):
            raise Problem(NOT_FOUND, "no relay uses this sender; GET /v1/providers lists them")
    return sender


_NO_SUCH = f"no such provider; there are {', '.join(CHANNELS)}"

router = Router("/", route_handlers=[list_providers, hold_provider, release_provider])
