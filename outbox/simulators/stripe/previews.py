"""Invoices that are only looked at: the next one, or the one of a cancellation now."""

from __future__ import annotations

from outbox.simulators.stripe import invoice_lines, invoice_shape, periods, prorations, states
from outbox.simulators.stripe.errors import Refusal, required
from outbox.simulators.stripe.store import Object, new_id
from outbox.simulators.stripe.world import Call, World

_DETAILS = ("cancel_now", "proration_date", "proration_behavior", "cancel_at_period_end")


def preview(world: World, call: Call) -> Object:
    """The invoice that would come; nothing is kept of it."""
    params = call.params.only("customer", "subscription", "subscription_details", "preview_mode")
    name = params.text("subscription")
    if name is None:
        raise required("subscription")
    subscription: Object = world.need("subscription", name, param="subscription")
    if subscription["status"] in states.ENDED:
        message = f"No upcoming invoices for subscription: {name}"
        raise Refusal(message, status=404, code="invoice_upcoming_none")
    details = params.inner("subscription_details").only(*_DETAILS)
    at = details.integer("proration_date") or world.now(subscription)
    waiting = invoice_lines.pending(world, subscription)
    lines: list[Object] = []
    if details.boolean("cancel_now"):
        if details.text("proration_behavior") != "none":
            waiting = [*_credits(world, subscription, at), *waiting]
    elif not subscription["cancel_at_period_end"]:
        lines = invoice_lines.regular(world, _renewed(subscription))
    invoice = invoice_shape.build(
        world,
        world.store.all("customer")[subscription["customer"]],
        subscription,
        [*invoice_lines.of_items(world, subscription, waiting), *lines],
        reason="upcoming",
        at=at,
        name=new_id("upcoming_in"),
    )
    start = invoice["starting_balance"]
    due = max(invoice["total"] + start, 0)
    left = invoice["total"] + start - due
    invoice |= {"amount_due": due, "amount_remaining": due, "ending_balance": left}
    return invoice


def _credits(world: World, subscription: Object, at: int) -> list[Object]:
    found = []
    for item in subscription["items"]["data"]:
        amount = prorations.left(subscription, item, at)
        if amount:
            said = prorations.said(world, item, credit=True)
            found.append(
                prorations.build(world, subscription, item, -amount, at, description=said),
            )
    return found


def _renewed(subscription: Object) -> Object:
    """A copy of a subscription in its next period."""
    items = []
    for item in subscription["items"]["data"]:
        start, recurring = item["current_period_end"], item["price"]["recurring"]
        finish = periods.end_of(subscription["billing_cycle_anchor"], recurring, start)
        items.append({**item, "current_period_start": start, "current_period_end": finish})
    return {**subscription, "items": {**subscription["items"], "data": items}}
