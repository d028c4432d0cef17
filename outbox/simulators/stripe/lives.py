"""What time does to a subscription: reminders, the end of a trial, renewals, the end."""

from __future__ import annotations

from outbox.simulators.stripe import collection, invoice_lines, invoices, periods, states
from outbox.simulators.stripe.states import ENDED
from outbox.simulators.stripe.store import Object
from outbox.simulators.stripe.world import World

end = states.end
__all__ = ["ENDED", "end", "renew", "resume", "start_paying", "step", "tell_trial_ends"]

_UPDATED = "customer.subscription.updated"


def step(world: World, subscription: Object) -> None:
    """The first thing that is due at this moment."""
    now, status = world.now(subscription), subscription["status"]
    if status == "incomplete":
        states.expire(world, subscription)
    elif subscription["cancel_at"] is not None and subscription["cancel_at"] <= now:
        states.end(world, subscription, reason="cancellation_requested")
    elif status == "trialing" and subscription["trial_end"] <= now:
        _end_trial(world, subscription)
    elif status == "trialing":
        tell_trial_ends(world, subscription)
    else:
        renew(world, subscription)
    states.schedule(world, subscription)


def tell_trial_ends(world: World, subscription: Object) -> None:
    """The reminder, once for each end of a trial."""
    if world.facts(subscription["id"]).get("told") != subscription["trial_end"]:
        world.know(subscription["id"], told=subscription["trial_end"])
        world.emit("customer.subscription.trial_will_end", subscription)


def _end_trial(world: World, subscription: Object) -> None:
    missing = states.default_method(world, subscription) is None
    behavior = subscription["trial_settings"]["end_behavior"]["missing_payment_method"]
    if missing and behavior == "cancel":
        states.end(world, subscription)
    elif missing and behavior == "pause":
        pause(world, subscription)
    else:
        start_paying(world, subscription)


def pause(world: World, subscription: Object) -> None:
    """The trial is over and nothing can be charged: neither period nor invoice until resumed."""
    at = world.now(subscription)
    with world.changing(_UPDATED, subscription):
        subscription["status"] = "paused"
        subscription["status_details"] = {
            "paused": {
                "subscription": {"type": "trial_end_without_payment_method"},
                "transitioned_at": at,
                "type": "subscription",
            },
        }
    states.schedule(world, subscription)
    world.emit("customer.subscription.paused", subscription)


def start_paying(world: World, subscription: Object, *, at_once: bool = False) -> Object:
    """The trial is over: the first period that costs something begins.

    ``at_once``: it was ended by a call, and is collected within it.
    """
    now = world.now(subscription)
    recurring = subscription["items"]["data"][0]["price"]["recurring"]
    with world.changing(_UPDATED, subscription):
        subscription |= {"billing_cycle_anchor": now, "status": "active"}
        states.move_to(subscription, now, periods.after(now, recurring, 1))
        reason = "subscription_update" if at_once else "subscription_cycle"
        lines = invoice_lines.regular(world, subscription)
        invoice = invoices.draft(world, subscription, lines, reason=reason)
        subscription["latest_invoice"] = invoice["id"]
    states.schedule(world, subscription)
    if at_once:
        collection.collect(world, invoice)
    return invoice


def resume(
    world: World,
    subscription: Object,
    *,
    reset: bool,
    prorated: bool,
    at_once: bool,
) -> None:
    """A paused one goes on. ``reset``: a new cycle begins; ``at_once``: even when unpaid."""
    now = world.now(subscription)
    recurring = subscription["items"]["data"][0]["price"]["recurring"]
    with world.changing(_UPDATED, subscription):
        if reset:
            subscription["billing_cycle_anchor"] = now
        finish = periods.end_of(subscription["billing_cycle_anchor"], recurring, now)
        states.move_to(subscription, now, finish)
        lines = invoice_lines.regular(world, subscription)
        whole = periods.after(finish, recurring, -1)
        for one in lines if not reset else ():
            part = periods.unused(one["amount"], whole, finish, now) if prorated else 0
            one |= {"amount": part, "subtotal": part}
        invoice = invoices.draft(world, subscription, lines, reason="subscription_update")
        subscription["latest_invoice"] = invoice["id"]
    world.know(subscription["id"], resumes=invoice["id"])
    refusal = collection.collect(world, invoice)
    if refusal is not None and at_once:
        states.put(world, subscription, "past_due")
        world.emit("customer.subscription.resumed", subscription)
        collection.retry(world, invoice, subscription)
    elif refusal is not None:
        world.know(invoice["id"], void_at=now + states.FIRST_WITHIN_S)
        invoices.schedule(world, invoice)
    states.schedule(world, subscription)


def renew(world: World, subscription: Object) -> None:
    """The next period begins where the last one ended."""
    first = subscription["items"]["data"][0]
    start = first["current_period_end"]
    recurring, anchor = first["price"]["recurring"], subscription["billing_cycle_anchor"]
    with world.changing(_UPDATED, subscription):
        states.move_to(subscription, start, periods.end_of(anchor, recurring, start))
        invoice = invoices.draft(
            world,
            subscription,
            invoice_lines.regular(world, subscription),
            reason="subscription_cycle",
            collected=subscription["status"] != "unpaid",
        )
        subscription["latest_invoice"] = invoice["id"]
