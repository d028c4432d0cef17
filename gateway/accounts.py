"""``/v1/accounts``: what somebody is entitled to and why, and Stripe's page to add a card."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import MediaType, Request, Response, Router, get, post
from litestar.params import PathParameter, RawBody
from msgspec import Meta, Struct

from gateway import billing_examples as examples
from gateway import cards
from gateway.auth import requires
from gateway.decoding import JSON, decode, require_media_type
from gateway.documented import Answer, Body, documented
from gateway.problems import CONFLICT, NOT_FOUND, UNAVAILABLE, FieldError, Problem, invalid
from gateway.resources import Resources, resources_of
from outbox.domain.billing_requests import Link
from outbox.domain.ids import shard_of
from outbox.store.billing_accounts import Account
from outbox.store.billing_reads import History, Shown, show
from outbox.store.keys import Scope

AccountId = Annotated[
    str,
    PathParameter(
        min_length=1,
        max_length=128,
        pattern=r"^[^\x00-\x20\x7f/]+\Z",
        description="The account's id, yours to choose.",
    ),
]
SAVED = "/card-saved"
_PAGE = b"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>Card saved</title></head>
<body><p>Your card is saved. You can go back to the app.</p></body></html>
"""


class SubscriptionAnswer(Struct, frozen=True, kw_only=True):
    """A subscription at Stripe."""

    id: str
    status: str
    trial_end: datetime | None
    current_period_end: datetime | None
    cancel_at_period_end: bool


class MethodAnswer(Struct, frozen=True, kw_only=True):
    """A way to pay; nothing of the card itself is known here."""

    id: str
    type: str
    default: bool
    expires_at: datetime | None
    """When it holds no longer: the end of its month; null: never."""


class InvoiceAnswer(Struct, frozen=True, kw_only=True):
    """An invoice."""

    id: str
    status: str
    reason: str | None
    amount_due: int
    """In cents."""
    amount_paid: int
    currency: str
    attempts: int
    next_attempt_at: datetime | None
    decline: str | None
    """Why paying it failed last: a code of runbooks/reference/errors.md."""
    hosted_invoice_url: str | None
    """Stripe's page for it."""
    created_at: datetime


class FactAnswer(Struct, frozen=True, kw_only=True):
    """Something that was said of the account, and by whom."""

    at: datetime
    type: str
    by: str
    why: str
    result: str


class GrandfatheredAnswer(Struct, frozen=True, kw_only=True):
    """Why somebody is free for ever."""

    at: datetime
    by: str
    why: str


class AccountAnswer(Struct, frozen=True, kw_only=True):
    """An account."""

    id: str
    role: str
    entitlement: str
    reason: str
    until: datetime | None
    """When the entitlement ends by itself; null: it does not, or Stripe decides."""
    subscription: SubscriptionAnswer | None
    """Null: Stripe has none, or does not have it yet."""
    grandfathered: GrandfatheredAnswer | None
    """Null: it was never a Member's."""
    pending: int
    """Commands that Stripe has not carried out yet."""
    payment_methods: list[MethodAnswer]
    invoices: list[InvoiceAnswer]
    """The newest ones, newest first."""
    history: list[FactAnswer]
    """The newest ones, newest first."""


class LinkBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the page leads to in the end."""

    return_url: (
        Annotated[str, Meta(max_length=2048, pattern=r"^https?://[^\x00-\x20\x7f]+\Z")] | None
    ) = None
    """The app's own address; left out: a page that says that the card is saved."""


class LinkAnswer(Struct, frozen=True, kw_only=True):
    """Stripe's page."""

    url: str
    expires_at: datetime


_link_body = msgspec.json.Decoder(LinkBody)


async def _found(resources: Resources, account: str) -> tuple[Shown, Account]:
    async with resources.operators() as connection:
        shown = await show(connection, shard_of(account), account)
    if shown is None or shown.account.known.role is None:
        raise Problem(NOT_FOUND, "no account was opened under this id")
    return shown, shown.account


@get(
    "/v1/accounts/{account:str}",
    guards=[requires(Scope.READ)],
    opt=documented(
        scope=Scope.READ,
        answers={200: Answer("The account", AccountAnswer, examples={"a trial": examples.ACCOUNT})},
        problems=(NOT_FOUND,),
    ),
    tags=["accounts"],
)
async def get_account(request: Request[Any, Any, Any], account: AccountId) -> AccountAnswer:
    """Read what an account is entitled to, and why. Whether alerts are sent never depends on it."""
    shown, one = await _found(resources_of(request), account)
    granted, subscription = one.granted(), one.subscription
    known = one.known
    return AccountAnswer(
        id=one.id,
        role=str(known.role),
        entitlement=str(granted.entitlement),
        reason=granted.reason,
        until=granted.until,
        subscription=None
        if subscription is None
        else SubscriptionAnswer(
            id=subscription.id,
            status=subscription.status,
            trial_end=subscription.trial_end,
            current_period_end=subscription.period_end,
            cancel_at_period_end=subscription.cancel_at_period_end,
        ),
        grandfathered=None
        if known.member_at is None
        else GrandfatheredAnswer(
            at=known.member_at, by=known.member_by or "", why=known.member_why or ""
        ),
        pending=shown.pending,
        payment_methods=[
            MethodAnswer(
                id=each.id,
                type=each.type,
                default=each.id == one.default_method,
                expires_at=each.expires_at,
            )
            for each in one.methods
            if each.attached
        ],
        invoices=[InvoiceAnswer(**msgspec.structs.asdict(each)) for each in shown.invoices],
        history=[_fact(each) for each in shown.history],
    )


def _fact(told: History) -> FactAnswer:
    return FactAnswer(**msgspec.structs.asdict(told))


@post(
    "/v1/accounts/{account:str}/card-link",
    guards=[requires(Scope.OPERATE)],
    status_code=200,
    opt=documented(
        scope=Scope.OPERATE,
        bodies={
            "application/json": Body(
                LinkBody, {"back to the app": examples.CARD_LINK}, text="May be left out."
            ),
        },
        answers={200: Answer("Stripe's page", LinkAnswer)},
        problems=(NOT_FOUND, CONFLICT),
    ),
    tags=["accounts"],
)
async def post_card_link(
    request: Request[Any, Any, Any],
    account: AccountId,
    body: RawBody,
) -> LinkAnswer:
    """Get a page of Stripe where a card is added. It becomes the default; what is unpaid is tried.

    409 where nothing is ever charged, or while Stripe does not know the account yet.
    """
    resources = resources_of(request)
    wanted = LinkBody()
    if body:
        require_media_type(request.headers, JSON)
        wanted = decode(_link_body, body)
        cards.refuse(body)
    if resources.stripe is None:
        raise Problem(CONFLICT, "billing is off here: Stripe's settings are not given")
    _, one = await _found(resources, account)
    if not one.known.pays:
        raise Problem(CONFLICT, "this account is free: nothing is ever charged")
    if one.customer is None:
        raise Problem(CONFLICT, "Stripe does not know this account yet; ask again in a moment")
    made = await resources.stripe.card_link(
        one.customer,
        account=one.id,
        return_url=wanted.return_url or resources.settings.public_url + SAVED,
    )
    if isinstance(made, Link):
        return LinkAnswer(url=made.url, expires_at=made.expires_at)
    if made.code == "url_invalid":
        error = FieldError("$.return_url", "an address that Stripe refuses", "an https address")
        raise invalid([error])
    raise Problem(UNAVAILABLE, f"Stripe made no page ({made.code}); ask again", headers=_AGAIN)


_AGAIN = {"Retry-After": "2"}


@get(
    SAVED,
    opt=documented(answers={200: Answer("A page for people", str, "text/html")}),
    tags=["accounts"],
    sync_to_thread=False,
)
def card_saved() -> Response[bytes]:
    """Say that a card was saved. Where Stripe's page leads to when no other place was named."""
    return Response(_PAGE, media_type=MediaType.HTML)


router = Router("/", route_handlers=[get_account, post_card_link, card_saved])
