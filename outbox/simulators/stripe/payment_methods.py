"""Payment methods: magic ones become real ones when they are first used."""

from __future__ import annotations

from outbox.simulators.stripe import cards, lists
from outbox.simulators.stripe.cards import Card
from outbox.simulators.stripe.errors import Refusal, invalid, missing
from outbox.simulators.stripe.store import Object
from outbox.simulators.stripe.world import Call, Page, Routes, World

_KIND = "payment_method"
_TOKEN = "tok_"  # noqa: S105 - no secret


def card_of(world: World, method: str) -> Card:
    """What a payment method's card does."""
    return cards.find(world.facts(method).get("magic", "")) or cards.GOOD


def make(world: World, name: str, at: int) -> Object:
    """A new payment method of a magic kind."""
    card = cards.find(name)
    if card is None:
        raise missing("PaymentMethod", name, param="payment_method", status=400)
    method = world.new(
        _KIND,
        "pm",
        at,
        {
            "allow_redisplay": "unspecified",
            "billing_details": {
                "address": None,
                "email": None,
                "name": None,
                "phone": None,
                "tax_id": None,
            },
            "card": {
                "brand": card.brand,
                "checks": {
                    "address_line1_check": None,
                    "address_postal_code_check": None,
                    "cvc_check": "pass",
                },
                "country": "US",
                "display_brand": card.brand,
                "exp_month": 12,
                "exp_year": card.exp_year,
                "fingerprint": f"simulated{card.last4}",
                "funding": "credit",
                "generated_from": None,
                "last4": card.last4,
                "networks": {"available": [card.brand], "preferred": None},
                "regulated_status": "unregulated",
                "three_d_secure_usage": {"supported": True},
                "wallet": None,
            },
            "customer": None,
            "customer_account": None,
            "metadata": {},
            "type": "card",
        },
    )
    world.know(method["id"], magic=name)
    world.keep(method)
    return method


def resolve(world: World, name: str, at: int, *, param: str = "payment_method") -> Object:
    """A payment method by its id or by a magic name."""
    found: Object | None = world.store.get(_KIND, name)
    if found is not None:
        return found
    if cards.find(name) is None:
        raise missing("PaymentMethod", name, param=param, status=404 if param == "id" else 400)
    return make(world, name, at)


def declined(card: Card, **more: object) -> Refusal:
    """The error of a declined card."""
    messages = {
        "expired_card": "Your card has expired.",
        "incorrect_cvc": "Your card's security code is incorrect.",
        "processing_error": "An error occurred while processing your card. Try again later.",
        "insufficient_funds": "Your card has insufficient funds.",
    }
    return Refusal(
        messages.get(card.decline or "", "Your card was declined."),
        status=402,
        kind="card_error",
        code=card.code,
        decline_code=card.decline,
        more=more,
    )


def attach_to(world: World, name: str, customer: Object) -> Object:
    """Attach a payment method; some cards are refused here."""
    method = resolve(world, name, world.now(customer))
    if method["customer"] is not None:
        if method["customer"] == customer["id"]:
            return method
        msg = "The payment method you provided has already been attached to a customer."
        raise invalid("payment_method", msg)
    if world.facts(method["id"]).get("detached"):
        msg = (
            "This PaymentMethod was previously used without being attached to a Customer or was"
            " detached from a Customer, and may not be used again."
        )
        raise invalid("payment_method", msg)
    card = card_of(world, method["id"])
    if not card.attach:
        raise declined(card)
    method["customer"] = customer["id"]
    world.keep(method)
    world.emit("payment_method.attached", method)
    return method


def owned(
    world: World,
    name: str,
    customer: Object,
    *,
    attach: bool = False,
    param: str = "default_payment_method",
) -> Object:
    """A payment method that belongs to the customer."""
    if attach and name.startswith("pm_card_"):
        return attach_to(world, name, customer)
    method: Object = world.need(_KIND, name, param=param)
    if method["customer"] != customer["id"]:
        msg = f"The customer does not have a payment method with the ID {name}."
        raise invalid(param, msg, "resource_missing")
    return method


def create(world: World, call: Call) -> Object:
    """A payment method from a token; card data is not taken here."""
    params = call.params.only("type", "card", "billing_details", "metadata", "allow_redisplay")
    if params.needed("type") != "card":
        raise invalid("type", "Only cards are simulated.")
    card = params.inner("card").only("token")
    magic = "pm_card_" + card.needed("token").removeprefix(_TOKEN)
    method = make(world, magic, world.clocks.account.now())
    method["metadata"] = params.metadata({})
    return method


def retrieve(world: World, call: Call) -> Object:
    """One payment method."""
    call.params.only()
    return resolve(world, call.id, world.clocks.account.now(), param="id")


def update(world: World, call: Call) -> Object:
    """Change metadata or expiry."""
    params = call.params.only("metadata", "card", "billing_details", "allow_redisplay")
    method: Object = world.need(_KIND, call.id)
    card = params.inner("card").only("exp_month", "exp_year")
    with world.changing("payment_method.updated", method):
        if "metadata" in params:
            method["metadata"] = params.metadata(method["metadata"])
        for name in ("exp_month", "exp_year"):
            value = card.integer(name)
            if value is not None:
                method["card"][name] = value
    return method


def attach(world: World, call: Call) -> Object:
    """Attach to a customer."""
    params = call.params.only("customer")
    return attach_to(world, call.id, world.customer(params.needed("customer")))


def detach(world: World, call: Call) -> Object:
    """Detach; it is nobody's default any more, and cannot be used again."""
    call.params.only()
    method: Object = world.need(_KIND, call.id)
    owner = method["customer"]
    if owner is None:
        raise invalid(
            "id",
            "The payment method you provided is not attached to a customer so detachment is"
            " impossible.",
        )
    customer = world.customer(owner)
    with world.changing("customer.updated", customer):
        if customer["invoice_settings"]["default_payment_method"] == call.id:
            customer["invoice_settings"]["default_payment_method"] = None
    for subscription in list(world.store.of("subscription", owner)):
        with world.changing("customer.subscription.updated", subscription):
            if subscription["default_payment_method"] == call.id:
                subscription["default_payment_method"] = None
    method["customer"] = None
    world.know(call.id, detached=True)
    world.keep(method)
    world.emit("payment_method.detached", method, {"customer": owner})
    return method


def find(world: World, call: Call) -> Page:
    """A list."""
    return lists.objects(
        world,
        call,
        _KIND,
        parents=("customer",),
        equal=("type",),
        times=(),
        accept=lambda row: row["customer"] is not None,
    )


ROUTES: Routes = {
    ("POST", "payment_methods"): create,
    ("GET", "payment_methods"): find,
    ("GET", "payment_methods/*"): retrieve,
    ("POST", "payment_methods/*"): update,
    ("POST", "payment_methods/*/attach"): attach,
    ("POST", "payment_methods/*/detach"): detach,
}
