"""``/v1/verifications``: one-time codes, asked for and checked.

No answer tells whether a number or an id is known: a number that gets no code is answered like one
that does, an id that nobody was given like a wrong code.
"""

from __future__ import annotations

import asyncio
import secrets
from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Request, Router, post
from litestar.params import PathParameter, RawBody
from msgspec import Meta, Struct

from gateway import examples
from gateway.auth import requires
from gateway.decoding import JSON, decode, require_media_type
from gateway.documented import Answer, Body, documented
from gateway.problems import TOO_MANY_REQUESTS, FieldError, Problem, invalid
from gateway.resources import Resources, resources_of
from gateway.schemas import Locale, Number
from outbox.domain.codes_checks import Status, new_code
from outbox.domain.codes_limits import Counted, keys_of
from outbox.domain.content import Content
from outbox.domain.ids import new_id, shard_of
from outbox.domain.phones import country_of, problem_with
from outbox.domain.policy import CODE
from outbox.drafts import draft, own_event
from outbox.store.keys import Scope, StoredKey
from outbox.store.usage import usage_key
from outbox.store.verifications import Guess, Limited, Wanted, code_hashes, named

_TYPE = "verification.requested"
_GUARDS = [requires(Scope.EVENTS)]
_SENT = "sent"

_STEP_S = 0.025
"""Answers come at whole steps of time: the part of a millisecond that a code takes longer than none
(measured: 0.4 ms) must not tell which it was."""

VerificationId = Annotated[
    str,
    PathParameter(
        min_length=1,
        max_length=128,
        pattern=r"^[^\x00-\x20\x7f/]+\Z",
        description="`id` of the answer to the request for the code.",
    ),
]


class VerificationBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Who is to be verified."""

    phone: Number
    """E.164, like +12025550123."""
    locale: Locale | None = None
    """Language of the text, BCP 47; en-US if left out."""


class VerificationAnswer(Struct, frozen=True, kw_only=True):
    """The same whether or not this number is sent a code."""

    id: str
    """For the check."""
    expires_at: datetime
    """From then on every code is refused."""


class CheckBody(Struct, frozen=True, forbid_unknown_fields=True):
    """What the person typed."""

    code: Annotated[str, Meta(pattern=r"^[0-9]{6}\Z")]


class CheckAnswer(Struct, frozen=True, kw_only=True):
    """Whether it was right."""

    status: Status
    """`approved`: it was, and is used up now. `pending`: it was not. `expired`: its time is over,
    or it was used before. `blocked`: there were too many guesses."""
    checks_left: int
    """Further guesses that are looked at."""


_verification_body = msgspec.json.Decoder(VerificationBody)
_check_body = msgspec.json.Decoder(CheckBody)


def _prepare(resources: Resources, wanted: VerificationBody, caller: str) -> Wanted:
    """Everything but the decision: a number that gets no code costs the same time."""
    sealer, policy = resources.sealer, resources.settings.policy
    phone_hashes = sealer.lookups(wanted.phone)
    recipient = "phone:" + phone_hashes[0].hex()[:24]
    shard = shard_of(recipient)
    verification = new_id(shard)
    code = new_code(secrets.randbelow)
    notification = draft(
        sealer,
        kind=CODE,
        recipient=recipient,
        locale=wanted.locale or "en-US",
        content=Content(phone=wanted.phone, code=code),
        shard=shard,
        policy=policy,
    )
    country = country_of(wanted.phone)
    keys = keys_of(wanted.phone, country, caller)
    return Wanted(
        id=verification,
        phone_hashes=phone_hashes,
        country=country,
        caller=caller,
        keys={what: usage_key(sealer, what, value) for what, value in keys.items()},
        code_hash=code_hashes(sealer, verification, code)[0],
        event=own_event(sealer, type_=_TYPE, subject=recipient, notifications=(notification,)),
    )


def _limited(limited: Limited) -> Problem:
    # Of the key alone: the number plays no part in it.
    detail = "this key has used up what it may ask for in a minute"
    return Problem(TOO_MANY_REQUESTS, detail, retry_after_s=limited.retry_after_s)


async def _at_a_step(began: float) -> None:
    await asyncio.sleep((began - asyncio.get_running_loop().time()) % _STEP_S)


@post(
    "",
    guards=_GUARDS,
    status_code=202,
    opt=documented(
        scope=Scope.EVENTS,
        bodies={"application/json": Body(VerificationBody, {"a number": examples.VERIFICATION})},
        answers={
            202: Answer(
                "Asked for; a code is on its way if this number may get one",
                VerificationAnswer,
                examples={"asked for": examples.VERIFICATION_OPENED},
            ),
        },
        problems=(TOO_MANY_REQUESTS,),
    ),
)
async def request_code(request: Request[Any, Any, Any], body: RawBody) -> VerificationAnswer:
    """Send a one-time code by SMS. The answer never tells whether the number gets one.

    Six digits, good for ten minutes, for one use and five guesses. Which countries get codes, and
    how many a number, a range of numbers or a country gets, is set by the policy; who is over it
    gets none. 429 is about the key alone.
    """
    require_media_type(request.headers, JSON)
    began = asyncio.get_running_loop().time()
    wanted = decode(_verification_body, body)
    if problem := problem_with(wanted.phone):
        accepted = "a number in E.164, like +12025550123"
        raise invalid([FieldError("$.phone", problem, accepted)])
    resources = resources_of(request)
    key: StoredKey = request.scope["auth"]
    prepared = _prepare(resources, wanted, key.id)
    opened = await resources.codes.submit(prepared)
    if isinstance(opened, Limited):
        resources.metrics.codes.labels("caller_limit").inc()
        raise _limited(opened)
    resources.metrics.codes.labels(opened.refused or _SENT).inc()
    if opened.refused is None:
        resources.waker.wake(prepared.event.notifications[0].lane)
    await _at_a_step(began)
    return VerificationAnswer(id=str(prepared.id), expires_at=opened.expires_at)


@post(
    "/{verification:str}/check",
    guards=_GUARDS,
    status_code=200,
    opt=documented(
        scope=Scope.EVENTS,
        bodies={"application/json": Body(CheckBody, {"a guess": examples.GUESS})},
        answers={
            200: Answer(
                "Whether it was right",
                CheckAnswer,
                examples={"it was not": examples.WRONG_GUESS},
            ),
        },
        problems=(TOO_MANY_REQUESTS,),
    ),
)
async def check_code(
    request: Request[Any, Any, Any],
    verification: VerificationId,
    body: RawBody,
) -> CheckAnswer:
    """Check a code. An id that nobody was given is answered like a wrong code."""
    require_media_type(request.headers, JSON)
    began = asyncio.get_running_loop().time()
    wanted = decode(_check_body, body)
    resources = resources_of(request)
    key: StoredKey = request.scope["auth"]
    identity, shard = named(resources.sealer, verification)
    checked = await resources.checks.submit(
        Guess(
            id=identity,
            shard=shard,
            hashes=code_hashes(resources.sealer, identity, wanted.code),
            caller=key.id,
            key=usage_key(resources.sealer, Counted.CHECKS, key.id),
        ),
    )
    if isinstance(checked, Limited):
        raise _limited(checked)
    resources.metrics.code_checks.labels(checked.status).inc()
    await _at_a_step(began)
    return CheckAnswer(status=checked.status, checks_left=checked.checks_left)


router = Router(
    "/v1/verifications",
    route_handlers=[request_code, check_code],
    tags=["verifications"],
)
