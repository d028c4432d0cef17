"""What is asked of Stripe for its cassettes: each call of the adapter, each documented refusal."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
import stripe
from msgspec import Struct

from outbox.domain.billing_plan import Do
from outbox.domain.billing_requests import Answered, Link, Request
from outbox.domain.outcomes import Outcome
from outbox.providers.stripe import API_VERSION, StripeBilling
from outbox.settings import StripeSettings
from outbox.simulators.stripe.catalog import PRICE
from tests.contract.simulated_stripe import DAY_S
from tests.contract.tape import Carrier

RETURN_TO = "https://app.example.com/billing"
FAILS, GOOD, LOST = "pm_card_chargeCustomerFail", "pm_card_visa", "pm_card_chargeDeclinedLostCard"
KINDS = ("sub", "cus", "in", "pm", "re", "dp", "du", "ch", "py", "pi", "seti", "issfr")
"""Beginnings of the ids that the adapter reads."""

Strike = Callable[[Mapping[str, Any] | None], Awaitable[None]]
"""Puts a fault of the simulator in force; null: all is well again."""


class Prepared(Struct, frozen=True):
    """What the adapter cannot make itself; these names stand on the cassettes."""

    paused: str = "sub_paused"
    """A subscription that paused at the end of its trial, and has a card since."""
    disputed: str = "dp_disputed"
    intent: str = "seti_entered"


def prepare(settings: StripeSettings, *, patience_s: float) -> Prepared:
    """Make it, through the SDK; ``patience_s`` between two looks at what takes its time."""
    base = settings.api_base
    client = stripe.StripeClient(
        settings.api_key,
        stripe_version=API_VERSION,
        base_addresses={"api": base} if base else None,
        http_client=stripe.RequestsClient(timeout=30),
    )
    v1: Any = client.v1
    items = {"items": [{"price": settings.price_id}]}
    start = int(time.time())
    clock = v1.test_helpers.test_clocks.create({"frozen_time": start})
    customer = v1.customers.create({"test_clock": clock.id})
    behavior = {"end_behavior": {"missing_payment_method": "pause"}}
    trial = {"trial_period_days": 30, "trial_settings": behavior}
    paused = v1.subscriptions.create({"customer": customer.id, **items, **trial})
    v1.test_helpers.test_clocks.advance(clock.id, {"frozen_time": start + 31 * DAY_S})
    while v1.test_helpers.test_clocks.retrieve(clock.id).status != "ready":
        time.sleep(patience_s)
    _give_card(v1, customer.id, GOOD)
    disputing = v1.customers.create()
    _give_card(v1, disputing.id, "pm_card_createDispute")
    v1.subscriptions.create({"customer": disputing.id, **items})
    found: list[Any] = []
    while not found:
        time.sleep(patience_s)
        listed = v1.disputes.list({"limit": 100}).data
        charges = {each.id for each in v1.charges.list({"customer": disputing.id}).data}
        found = [each for each in listed if each.charge in charges]
    entered = v1.setup_intents.create({"customer": disputing.id})
    return Prepared(paused=paused.id, disputed=found[0].id, intent=entered.id)


def _give_card(v1: Any, customer: str, card: str) -> None:  # noqa: ANN401 - the SDK's services
    method = v1.payment_methods.attach(card, {"customer": customer}).id
    v1.customers.update(customer, {"invoice_settings": {"default_payment_method": method}})


def names_of(settings: StripeSettings, made: Prepared) -> dict[str, str]:
    """What is called otherwise on the cassettes."""
    shown = Prepared()
    pairs = zip(msgspec.structs.astuple(made), msgspec.structs.astuple(shown), strict=True)
    return {**dict(pairs), settings.price_id: PRICE}


class Play:
    """Commands of one account, each with a key of its own in each recording."""

    def __init__(self, settings: StripeSettings, http: Carrier) -> None:
        self.settings = settings
        self.http = http
        self.api = StripeBilling(settings, http)
        self._run = uuid.uuid4().hex

    def other(self, **changes: str) -> StripeBilling:
        """The adapter with other settings."""
        return StripeBilling(msgspec.structs.replace(self.settings, **changes), self.http)

    async def do(self, do: Do, **more: Any) -> Answered:  # noqa: ANN401 - fields of a request
        """Carry out one change."""
        key = f"{self._run}:{more.pop('again', uuid.uuid4().hex)}:{do}"
        request = Request(do=do, key=key, account="c_1", notification="n_1", **more)
        return await self.api.carry_out(request)

    async def customer(self, card: str | None = None) -> str:
        """A customer, who has a card if one is named."""
        made = await self.do(Do.CREATE_CUSTOMER, email="someone@example.com")
        name = _id(made)
        if card is not None:
            method = await self.do(Do.ATTACH, object=card, customer=name)
            await self.do(Do.MAKE_DEFAULT, object=_id(method), customer=name)
        return name


def _id(made: Answered) -> str:
    assert made.object is not None, made.outcome
    name: str = made.object["id"]
    return name


def _invoice(made: Answered) -> str:
    assert made.object is not None, made.outcome
    latest: str = made.object["latest_invoice"]
    return latest


async def commands(play: Play, prepared: Prepared) -> dict[Do, Answered]:
    """Every change that there is, each with success."""
    did: dict[Do, Answered] = {}

    async def do(what: Do, **more: Any) -> Answered:  # noqa: ANN401 - fields of a request
        did[what] = await play.do(what, **more)
        return did[what]

    customer = _id(await do(Do.CREATE_CUSTOMER, email="someone@example.com"))
    trial = _id(await do(Do.START_TRIAL, customer=customer))
    await do(Do.END_WITH_PERIOD, object=trial)
    await do(Do.GO_ON, object=trial)
    method = _id(await do(Do.ATTACH, object=GOOD, customer=customer))
    await do(Do.MAKE_DEFAULT, object=method, customer=customer)
    await do(Do.END_UNPAID, object=trial)
    paying = await do(Do.SUBSCRIBE, customer=customer)
    paid = await play.api.charge_of(_invoice(paying))
    assert paid.object is not None
    await do(Do.END_NOW, object=_id(paying))
    await do(Do.REFUND, object=paid.object["payment_intent"], amount=199)
    await do(Do.CLEAR_CREDIT, customer=customer, amount=199)
    await do(Do.DETACH, object=method)
    await do(Do.RESUME, object=prepared.paused)
    failing = await play.customer(FAILS)
    unpaid = await play.do(Do.SUBSCRIBE, customer=failing)
    better = await play.do(Do.ATTACH, object=GOOD, customer=failing)
    await play.do(Do.MAKE_DEFAULT, object=_id(better), customer=failing)
    await do(Do.PAY, object=_invoice(unpaid))
    never = await play.do(Do.SUBSCRIBE, customer=await play.customer(FAILS))
    await do(Do.VOID, object=_invoice(never))
    return did


async def reads(
    play: Play, prepared: Prepared, *, patience_s: float = 0.0
) -> dict[str, Answered | Link | Outcome]:
    """Everything that is read, each with success; ``patience_s`` until a search finds it."""
    api = play.api
    customer = await play.customer(GOOD)
    made = await play.do(Do.SUBSCRIBE, customer=customer)
    invoice = _invoice(made)
    paid = await api.charge_of(invoice)
    assert paid.object is not None
    intent = await api.fetch(paid.object["payment_intent"])
    back = await play.do(Do.REFUND, object=_id(intent), amount=100)
    assert intent.object is not None
    owner = await api.fetch(customer)
    assert owner.object is not None
    found: dict[str, Answered | Link | Outcome] = {
        "cus": owner,
        "sub": await api.fetch(_id(made)),
        "in": await api.fetch(invoice),
        "pi": intent,
        "ch": await api.fetch(intent.object["latest_charge"]),
        "re": await api.fetch(_id(back)),
        "dp": await api.fetch(prepared.disputed),
        "seti": await api.fetch(prepared.intent),
    }
    method = owner.object["invoice_settings"]["default_payment_method"]
    found["pm"] = await api.fetch(method)
    found["paid_invoices_of"] = await api.paid_invoices_of(_id(made))
    found["charge_of"] = await api.charge_of(invoice)
    found["subscriptions_of"] = await api.subscriptions_of(customer)
    for kind in ("customers", "subscriptions"):
        first = await api.page_of(kind, None, None)
        found[kind] = first
        assert first.object is not None
        newest = first.object["data"][0]["id"]
        found[f"{kind} after"] = await api.page_of(kind, newest, None)
    events = await api.events_after(None, None)
    found["events"] = events
    assert events.object is not None
    newest = events.object["data"][0]["id"]
    found["events before"] = await api.events_after(None, newest)
    found["events after"] = await api.events_after(newest, None)
    await asyncio.sleep(patience_s)
    found["customer_for"] = await api.customer_for("c_1")
    found["nobody"] = await api.customer_for("nobody")
    found["card_link"] = await api.card_link(customer, account="c_1", return_url=RETURN_TO)
    found["price"] = await api.price()
    return found


async def refusals(play: Play) -> dict[str, Outcome]:
    """What Stripe refuses whenever it is asked."""
    customer = await play.customer()
    declined = await play.do(Do.ATTACH, object=LOST, customer=customer)
    failing = await play.customer(FAILS)
    unpaid = await play.do(Do.SUBSCRIBE, customer=failing)
    again = await play.do(Do.PAY, object=_invoice(unpaid))
    await play.do(Do.CREATE_CUSTOMER, email="someone@example.com", again="same")
    other = await play.do(Do.CREATE_CUSTOMER, again="same")
    gone = [await play.api.fetch(f"{kind}_nobody") for kind in KINDS]
    return {
        "attach": declined.outcome,
        "pay": again.outcome,
        "same key": other.outcome,
        **{kind: each.outcome for kind, each in zip(KINDS, gone, strict=True)},
        "price": (await play.other(price_id="price_nobody").price()).outcome,
        "key": (await play.other(api_key="sk_test_nobody").price()).outcome,
    }


STRUCK: dict[str, Mapping[str, Any]] = {
    "conflict": {"status": 409},
    "rate limit": {"status": 429, "retry_after": 7},
    "lock": {"status": 429, "code": "lock_timeout"},
    "key expired": {"status": 401, "code": "api_key_expired"},
    "permission": {"status": 403},
    "outside party": {"status": 424},
    "fault": {"status": 500},
    "gateway": {"status": 502},
    "unavailable": {"status": 503},
    "waited too long": {"status": 504},
}
"""What happens to Stripe, not to a request: it cannot be had from a sandbox when it is wanted."""


async def struck(play: Play, strike: Strike) -> dict[str, Outcome]:
    """Each of them; then some once more with the same key, while all is well."""
    found: dict[str, Outcome] = {}

    async def ask(name: str) -> Outcome:
        made = await play.do(Do.CREATE_CUSTOMER, email="someone@example.com", again=name)
        return made.outcome

    for name, fault in STRUCK.items():
        await strike({"provider": "stripe", **fault})
        found[name] = await ask(name)
    await strike(None)
    for name in ("fault", "outside party", "lock", "rate limit"):
        found[f"{name} again"] = await ask(name)
    return found
