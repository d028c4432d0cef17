"""``/v1/recipients``: who can be told, and the devices that a push reaches them on."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, Response, Router, delete, get, put
from litestar.params import PathParameter, RawBody
from msgspec import Meta, Struct

from gateway import cards, examples, following
from gateway.auth import requires
from gateway.decoding import JSON, decode, require_media_type
from gateway.documented import Answer, Body, documented
from gateway.envelope import Label
from gateway.problems import NOT_FOUND, FieldError, Problem, invalid
from gateway.resources import resources_of
from gateway.schemas import Locale, Number, Zone
from outbox.domain.phones import problem_with
from outbox.domain.zones import is_known
from outbox.store import billing_erasure, devices, erasures, recipients, topics
from outbox.store.devices import StoredDevice
from outbox.store.keys import Scope
from outbox.store.recipients import StoredRecipient

# What an address can hold: as ids elsewhere, but without its separator.
_ID = r"^[^\x00-\x20\x7f/]+\Z"
RecipientId = Annotated[
    str,
    PathParameter(
        min_length=1,
        max_length=128,
        pattern=_ID,
        description="The recipient's id, yours to choose.",
    ),
]
DeviceId = Annotated[
    str,
    PathParameter(
        min_length=1,
        max_length=128,
        pattern=_ID,
        description="The device's id, the app's to choose.",
    ),
]


class RecipientBody(Struct, frozen=True, forbid_unknown_fields=True):
    """A recipient, whole: what is left out is forgotten."""

    phone: Number | None = None
    """E.164, like +12025550123."""
    name: Label | None = None
    locale: Locale | None = None
    """BCP 47; en-US if left out."""
    timezone: Zone | None = None
    """IANA name; UTC if left out."""


class DeviceBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Where a push goes."""

    token: Annotated[str, Meta(min_length=1, max_length=4096, pattern=r"^[\x21-\x7e]+\Z")]
    """The FCM registration token or installation id; never shown again."""
    address_kind: Literal["token", "fid"]
    platform: Literal["ios", "android", "web"]


class DeviceAnswer(Struct, frozen=True, kw_only=True):
    """A device, without its address."""

    id: str
    platform: str
    address_kind: str
    seen_at: datetime
    dead_at: datetime | None


class RecipientAnswer(Struct, frozen=True, kw_only=True):
    """A recipient as it is stored."""

    id: str
    phone: str | None
    name: str | None
    locale: str
    timezone: str
    created_at: datetime
    updated_at: datetime
    devices: list[DeviceAnswer]


_recipient_body = msgspec.json.Decoder(RecipientBody)
_device_body = msgspec.json.Decoder(DeviceBody)
_GUARDS = [requires(Scope.RECIPIENTS)]
_STORED = {"a Contact": examples.RECIPIENT_STORED}


def _answer(stored: StoredRecipient, known: list[StoredDevice]) -> RecipientAnswer:
    return RecipientAnswer(
        id=stored.id,
        phone=stored.phone,
        name=stored.name,
        locale=stored.locale,
        timezone=stored.timezone,
        created_at=stored.created_at,
        updated_at=stored.updated_at,
        devices=[DeviceAnswer(**msgspec.structs.asdict(device)) for device in known],
    )


def _faults(body: RecipientBody) -> list[FieldError]:
    faults = []
    problem = None if body.phone is None else problem_with(body.phone)
    if problem is not None:
        faults.append(FieldError("$.phone", problem, "a number in E.164, like +12025550123"))
    if body.timezone is not None and not is_known(body.timezone):
        accepted = "an IANA name, like America/New_York"
        faults.append(FieldError("$.timezone", "an unknown time zone", accepted))
    return faults


@put(
    "/{recipient:str}",
    guards=_GUARDS,
    opt=documented(
        scope=Scope.RECIPIENTS,
        bodies={"application/json": Body(RecipientBody, {"a Contact": examples.RECIPIENT})},
        answers={
            200: Answer("Replaced", RecipientAnswer, examples=_STORED),
            201: Answer("Stored for the first time", RecipientAnswer, examples=_STORED),
        },
    ),
)
async def put_recipient(
    request: Request[Any, Any, Any],
    recipient: RecipientId,
    body: RawBody,
) -> Response[RecipientAnswer]:
    """Store or replace a recipient. Its devices stay, and follow the topic of a new language."""
    require_media_type(request.headers, JSON)
    wanted = decode(_recipient_body, body)
    cards.refuse(body)
    cards.refuse_id("recipient", recipient)
    if faults := _faults(wanted):
        raise invalid(faults)
    resources = resources_of(request)
    locale = wanted.locale or recipients.DEFAULT_LOCALE
    async with resources.engine.begin() as connection:
        changes = await topics.new_language(connection, resources.sealer, recipient, locale)
        commands = await following.issue(resources, connection, recipient, changes)
        stored, new = await recipients.put_recipient(
            connection,
            resources.sealer,
            recipient,
            name=wanted.name,
            phone=wanted.phone,
            locale=locale,
            timezone=wanted.timezone,
        )
        known = await devices.devices_of(connection, recipient)
    following.wake(resources, commands)
    return Response(_answer(stored, known), status_code=201 if new else 200)


@get(
    "/{recipient:str}",
    guards=_GUARDS,
    opt=documented(
        scope=Scope.RECIPIENTS,
        answers={200: Answer("The recipient", RecipientAnswer, examples=_STORED)},
        problems=(NOT_FOUND,),
    ),
)
async def get_recipient(
    request: Request[Any, Any, Any],
    recipient: RecipientId,
) -> RecipientAnswer:
    """Read a recipient and its devices; a device's token is never shown."""
    resources = resources_of(request)
    async with resources.engine.connect() as connection:
        found = await recipients.find_recipients(connection, resources.sealer, [recipient])
        known = await devices.devices_of(connection, recipient)
    if recipient not in found:
        raise Problem(NOT_FOUND, "no recipient is stored under this id")
    return _answer(found[recipient], known)


@delete(
    "/{recipient:str}",
    guards=_GUARDS,
    opt=documented(scope=Scope.RECIPIENTS, answers={204: Answer("Nothing of it is left")}),
)
async def erase_recipient(request: Request[Any, Any, Any], recipient: RecipientId) -> None:
    """Erase a person and all their devices, which follow nothing more; the same again is fine.

    The address of an account of this id goes at once, too; what was charged, and why, stays. What
    is pending for them is withdrawn within seconds, and a relay empties all that was stored of them
    until now: texts, names and numbers, in whatever names them. `pruuf erasures` tells when it is
    done. An opt-out is kept, as a hash; what comes later is new, and lives.
    """
    resources = resources_of(request)
    async with resources.engine.begin() as connection:
        changes = await topics.forget(connection, resources.sealer, recipient)
        # The account before the erasure, in which order a relay locks them, too.
        await billing_erasure.forget_email(connection, recipient)
        await erasures.ask(connection, resources.sealer, recipient)
        await recipients.erase_recipient(connection, recipient)
        commands = await following.issue(resources, connection, recipient, changes)
    following.wake(resources, commands)


@put(
    "/{recipient:str}/devices/{device:str}",
    guards=_GUARDS,
    opt=documented(
        scope=Scope.RECIPIENTS,
        bodies={"application/json": Body(DeviceBody, {"a phone": examples.DEVICE})},
        answers={204: Answer("Registered")},
    ),
)
async def put_device(
    request: Request[Any, Any, Any],
    recipient: RecipientId,
    device: DeviceId,
    body: RawBody,
) -> Response[None]:
    """Register a device, or its new address; the recipient need not be stored before.

    A new address follows the topics that the old one did.
    """
    require_media_type(request.headers, JSON)
    wanted = decode(_device_body, body)
    resources = resources_of(request)
    async with resources.engine.begin() as connection:
        old = await topics.address_of(connection, resources.sealer, recipient, device)
        await devices.put_device(
            connection,
            resources.sealer,
            recipient,
            device,
            address=wanted.token,
            address_kind=wanted.address_kind,
            platform=wanted.platform,
        )
        new = topics.Address(wanted.token, wanted.address_kind)
        changes = await topics.new_address(connection, recipient, device, old=old, new=new)
        commands = await following.issue(resources, connection, recipient, changes)
    following.wake(resources, commands)
    return Response(None, status_code=204)


@delete(
    "/{recipient:str}/devices/{device:str}",
    guards=_GUARDS,
    opt=documented(scope=Scope.RECIPIENTS, answers={204: Answer("It is not registered")}),
)
async def delete_device(
    request: Request[Any, Any, Any],
    recipient: RecipientId,
    device: DeviceId,
) -> None:
    """Forget a device, which follows nothing more; the same again is fine."""
    resources = resources_of(request)
    async with resources.engine.begin() as connection:
        changes = await topics.forget(connection, resources.sealer, recipient, device)
        await devices.delete_device(connection, recipient, device)
        commands = await following.issue(resources, connection, recipient, changes)
    following.wake(resources, commands)


router = Router(
    "/v1/recipients",
    route_handlers=[put_recipient, get_recipient, erase_recipient, put_device, delete_device],
    tags=["recipients"],
)
