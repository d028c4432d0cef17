"""Payment intents, charges and invoice payments, to be read."""

from __future__ import annotations

from outbox.simulators.stripe import lists
from outbox.simulators.stripe.store import Object
from outbox.simulators.stripe.world import Call, Page, Routes, World


def intent(world: World, call: Call) -> Object:
    """One payment intent."""
    call.params.only("client_secret")
    found: Object = world.need("payment_intent", call.id)
    return found


def intents(world: World, call: Call) -> Page:
    """A list."""
    return lists.objects(world, call, "payment_intent", parents=("customer",))


def charge(world: World, call: Call) -> Object:
    """One charge."""
    call.params.only()
    found: Object = world.need("charge", call.id)
    return found


def charges(world: World, call: Call) -> Page:
    """A list."""
    return lists.objects(world, call, "charge", parents=("payment_intent", "customer"))


def payment(world: World, call: Call) -> Object:
    """One invoice payment."""
    call.params.only()
    found: Object = world.need("invoice_payment", call.id)
    return found


def payments(world: World, call: Call) -> Page:
    """A list, by invoice or by payment intent."""
    wanted = call.params.inner("payment").only("type", "payment_intent").text("payment_intent")
    return lists.objects(
        world,
        call,
        "invoice_payment",
        parents=("invoice",),
        equal=("status",),
        more=("payment",),
        accept=lambda row: wanted in {None, row["payment"]["payment_intent"]},
    )


ROUTES: Routes = {
    ("GET", "payment_intents"): intents,
    ("GET", "payment_intents/*"): intent,
    ("GET", "charges"): charges,
    ("GET", "charges/*"): charge,
    ("GET", "invoice_payments"): payments,
    ("GET", "invoice_payments/*"): payment,
}
