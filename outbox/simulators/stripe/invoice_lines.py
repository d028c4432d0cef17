"""The lines of invoices: for the items of a subscription, and for what waited for its next one."""

from __future__ import annotations

from collections.abc import Iterable

from outbox.simulators.stripe.store import Object, new_id
from outbox.simulators.stripe.world import World


def line(  # noqa: PLR0913 - the fields of a line
    subscription: Object,
    item: Object,
    amount: int,
    period: tuple[int, int],
    *,
    description: str,
    proration: bool = False,
    invoice_item: str | None = None,
) -> Object:
    """One line of an invoice, for an item of a subscription."""
    price, quantity = item["price"], item["quantity"]
    return {
        "id": new_id("il"),
        "object": "line_item",
        "amount": amount,
        "currency": price["currency"],
        "description": description,
        "discount_amounts": [],
        "discountable": not proration,
        "discounts": [],
        "invoice": None,
        "livemode": False,
        "metadata": dict(subscription["metadata"]),
        "parent": {
            "invoice_item_details": None,
            "subscription_item_details": {
                "invoice_item": invoice_item,
                "proration": proration,
                "proration_details": {"credited_items": None},
                "subscription": subscription["id"],
                "subscription_item": item["id"],
            },
            "type": "subscription_item_details",
        },
        "period": {"start": period[0], "end": period[1]},
        "pretax_credit_amounts": [],
        "pricing": {
            "price_details": {"price": price["id"], "product": price["product"]},
            "type": "price_details",
            "unit_amount_decimal": price["unit_amount_decimal"],
        },
        "quantity": quantity,
        "quantity_decimal": str(quantity),
        "subscription": subscription["id"],
        "subtotal": amount,
        "taxes": [],
    }


def regular(world: World, subscription: Object, *, trial: bool = False) -> list[Object]:
    """A line for each item and its current period; nothing is due for a trial."""
    lines = []
    for item in subscription["items"]["data"]:
        price, quantity = item["price"], item["quantity"]
        product = world.store.all("product")[price["product"]]["name"]
        each = f"{price['unit_amount'] / 100:.2f}"
        said = f"{quantity} × {product} (at ${each} / {price['recurring']['interval']})"
        lines.append(
            line(
                subscription,
                item,
                0 if trial else price["unit_amount"] * quantity,
                (item["current_period_start"], item["current_period_end"]),
                description=f"Trial period for {product}" if trial else said,
            ),
        )
    return lines


def pending(world: World, subscription: Object) -> list[Object]:
    """Invoice items that wait for a subscription's next invoice, the newest first."""
    return [
        item
        for item in world.store.of("invoiceitem", subscription["customer"])
        if item["invoice"] is None
        and item["parent"] is not None
        and item["parent"]["subscription_details"]["subscription"] == subscription["id"]
    ]


def of_items(world: World, subscription: Object, items: Iterable[Object]) -> list[Object]:
    """The lines of pending invoice items."""
    lines = []
    for waiting in items:
        name = waiting["parent"]["subscription_details"]["subscription_item"]
        known = {item["id"]: item for item in subscription["items"]["data"]}
        price: Object = world.store.all("price")[waiting["pricing"]["price_details"]["price"]]
        item = {**known.get(name, {"id": name}), "price": price, "quantity": waiting["quantity"]}
        lines.append(
            line(
                subscription,
                item,
                waiting["amount"],
                (waiting["period"]["start"], waiting["period"]["end"]),
                description=waiting["description"],
                proration=waiting["proration"],
                invoice_item=waiting["id"],
            ),
        )
    return lines
