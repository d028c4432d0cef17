"""The status of a subscription, and when something becomes due."""

from __future__ import annotations

from outbox.simulators.stripe import invoices
from outbox.simulators.stripe.store import Object
from outbox.simulators.stripe.world import World

ENDED = frozenset({"canceled", "incomplete_expired"})
FIRST_WITHIN_S = 23 * 3600
TOLD_BEFORE_S = 3 * 86_400
_KIND = "subscription"
_UPDATED = "customer.subscription.updated"


def default_method(world: World, subscription: Object) -> Object | None:
    """What would be charged; null: nothing is there."""
    customer = world.store.all("customer")[subscription["customer"]]
    name = (
        subscription["default_payment_method"]
        or customer["invoice_settings"]["default_payment_method"]
    )
    return None if name is None else world.store.get("payment_method", name)


def due(world: World, subscription: Object) -> int | None:
    """When time does something to a subscription; null: never."""
    status = subscription["status"]
    if status in ENDED:
        return None
    if status == "incomplete":
        return int(subscription["created"]) + FIRST_WITHIN_S
    times = [subscription["cancel_at"]]
    if status == "trialing":
        times.append(subscription["trial_end"])
        if world.facts(subscription["id"]).get("told") != subscription["trial_end"]:
            times.append(subscription["trial_end"] - TOLD_BEFORE_S)
    elif status != "paused":
        times.append(subscription["items"]["data"][0]["current_period_end"])
    return min((time for time in times if time is not None), default=None)


def schedule(world: World, subscription: Object) -> None:
    """Come back when something is due."""
    world.clock(subscription).call(due(world, subscription), _KIND, subscription["id"])


def put(world: World, subscription: Object, status: str) -> None:
    """Another status, with its event."""
    with world.changing(_UPDATED, subscription):
        subscription["status"] = status
        if status != "paused":
            subscription["status_details"] = None
    schedule(world, subscription)


def end(world: World, subscription: Object, *, reason: str | None = None) -> None:
    """Cancel at this moment; what is not paid is collected no more."""
    at = world.now(subscription)
    subscription |= {
        "canceled_at": subscription["canceled_at"] or at,
        "ended_at": at,
        "status": "canceled",
    }
    if reason is not None:
        subscription["cancellation_details"]["reason"] = reason
    world.keep(subscription)
    schedule(world, subscription)
    world.emit("customer.subscription.deleted", subscription)
    for invoice in invoices.of_subscription(world, subscription):
        if invoice["status"] in {"draft", "open"}:
            invoices.rest(world, invoice)


def expire(world: World, subscription: Object) -> None:
    """The first invoice was not paid in time: over for good."""
    latest = world.store.get("invoice", subscription["latest_invoice"] or "")
    if latest is not None and latest["status"] == "open":
        invoices.void(world, latest)
    subscription["ended_at"] = world.now(subscription)
    put(world, subscription, "incomplete_expired")


def move_to(subscription: Object, start: int, finish: int) -> None:
    """Put every item into a period."""
    for item in subscription["items"]["data"]:
        item |= {"current_period_start": start, "current_period_end": finish}
