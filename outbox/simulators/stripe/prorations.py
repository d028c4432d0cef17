"""Credits for what is not used, and charges for what is used instead."""

from __future__ import annotations

from outbox.simulators.stripe import periods
from outbox.simulators.stripe.store import Object
from outbox.simulators.stripe.world import World


def wait(  # noqa: PLR0913 - the fields of an invoice item
    world: World,
    subscription: Object,
    item: Object,
    amount: int,
    at: int,
    *,
    description: str,
) -> Object:
    """An invoice item that waits for the subscription's next invoice."""
    made = build(world, subscription, item, amount, at, description=description)
    world.keep(made)
    world.emit("invoiceitem.created", made)
    return made


def build(  # noqa: PLR0913 - the fields of an invoice item
    world: World,
    subscription: Object,
    item: Object,
    amount: int,
    at: int,
    *,
    description: str,
) -> Object:
    """The same, not kept."""
    price = item["price"]
    return world.new(
        "invoiceitem",
        "ii",
        at,
        {
            "amount": amount,
            "currency": price["currency"],
            "customer": subscription["customer"],
            "customer_account": None,
            "date": at,
            "description": description,
            "discountable": False,
            "discounts": [],
            "invoice": None,
            "metadata": {},
            "net_amount": amount,
            "parent": {
                "subscription_details": {
                    "subscription": subscription["id"],
                    "subscription_item": item["id"],
                },
                "type": "subscription_details",
            },
            "period": {"start": at, "end": item["current_period_end"]},
            "pricing": {
                "price_details": {"price": price["id"], "product": price["product"]},
                "type": "price_details",
                "unit_amount_decimal": price["unit_amount_decimal"],
            },
            "proration": True,
            "proration_details": {"discount_amounts": []},
            "quantity": item["quantity"],
            "quantity_decimal": str(item["quantity"]),
            "tax_rates": [],
            "test_clock": subscription["test_clock"],
        },
    )


def left(subscription: Object, item: Object, at: int) -> int:
    """What an item costs from now to the end of its period; nothing in a trial."""
    if subscription["status"] in {"trialing", "paused", "incomplete"}:
        return 0
    amount = item["price"]["unit_amount"] * item["quantity"]
    start, end = item["current_period_start"], item["current_period_end"]
    return periods.unused(amount, start, end, at)


def said(world: World, item: Object, *, credit: bool) -> str:
    """How Stripe calls such a line."""
    product = world.store.all("product")[item["price"]["product"]]["name"]
    return f"{'Unused' if credit else 'Remaining'} time on {item['quantity']} × {product}"
