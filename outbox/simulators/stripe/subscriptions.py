"""Subscriptions as the API offers them: made, changed, cancelled, resumed; read elsewhere."""

from __future__ import annotations

from outbox.simulators.stripe import (
    changes,
    collection,
    invoice_lines,
    invoice_shape,
    invoices,
    lives,
    payment_methods,
    periods,
    prorations,
    states,
    subscription_shape,
)
from outbox.simulators.stripe.errors import Refusal, invalid, required
from outbox.simulators.stripe.forms import Params
from outbox.simulators.stripe.store import Object
from outbox.simulators.stripe.world import Call, Routes, World

_KIND = "subscription"
_TWO_YEARS_S = 2 * 366 * 86_400
_MOST = 500
_DAY_S = 86_400
_BEHAVIORS = (
    *("allow_incomplete", "default_incomplete", "error_if_incomplete", "pending_if_incomplete"),
)

COMMON = (
    *("cancel_at", "cancel_at_period_end", "collection_method", "default_payment_method"),
    *("description", "items", "metadata", "off_session", "payment_behavior", "payment_settings"),
    *("proration_behavior", "trial_end", "trial_from_plan", "trial_settings", "automatic_tax"),
    *("invoice_settings", "billing_cycle_anchor"),
)


def create(world: World, call: Call) -> Object:
    """A subscription, with its first invoice."""
    own = ("customer", "currency", "trial_period_days", "billing_mode")
    params = call.params.only(*COMMON, *own)
    customer = world.customer(params.needed("customer"))
    behavior = params.choice("payment_behavior", _BEHAVIORS, "allow_incomplete")
    params.choice("collection_method", ("charge_automatically",), "charge_automatically")
    now = world.now(customer)
    trial_end = _trial_end(params, now)
    kept = [
        one for one in world.store.of(_KIND, customer["id"]) if one["status"] not in states.ENDED
    ]
    if len(kept) >= _MOST:
        message = "The customer has reached the maximum of 500 subscriptions."
        raise invalid("customer", message, "customer_max_subscriptions")
    subscription = subscription_shape.blank(world, customer, now)
    subscription["items"]["data"] = [
        _item(world, subscription, one, now) for one in params.each("items")
    ]
    items = subscription["items"]["data"]
    if not items:
        raise required("items")
    recurring = items[0]["price"]["recurring"]
    method = params.text("default_payment_method")
    if method is not None:
        method = payment_methods.owned(world, method, customer)["id"]
    subscription |= {
        "billing_cycle_anchor": trial_end or now,
        "currency": items[0]["price"]["currency"],
        "default_payment_method": method,
        "description": params.text("description"),
        "metadata": params.metadata({}),
        "trial_end": trial_end,
        "trial_settings": {"end_behavior": _end_behavior(params, "create_invoice")},
        "trial_start": now if trial_end else None,
    }
    states.move_to(subscription, now, trial_end or periods.after(now, recurring, 1))
    changes.cancel_dates(world, subscription, params)
    free = trial_end is not None or not sum(one["amount"] for one in _lines(world, subscription))
    if not free and behavior != "default_incomplete":
        _needs_method(world, subscription)
    subscription["status"] = "trialing" if trial_end else "active" if free else "incomplete"
    return _begin(world, subscription, behavior=behavior, free=free)


def _item(world: World, subscription: Object, params: Params, now: int) -> Object:
    params.only("price", "quantity", "metadata", "tax_rates")
    price = world.need("price", params.needed("price"), param=params.name("price"))
    return subscription_shape.item(subscription, price, params, now)


def _lines(world: World, subscription: Object) -> list[Object]:
    trial = subscription["trial_end"] is not None
    return invoice_lines.regular(world, subscription, trial=trial)


def _needs_method(world: World, subscription: Object) -> None:
    if states.default_method(world, subscription) is None:
        message = (
            "This customer has no attached payment source or default payment method. Please"
            " consider adding a default payment method."
        )
        raise Refusal(message, code="resource_missing")


def _begin(world: World, subscription: Object, *, behavior: str, free: bool) -> Object:
    """Keep a new one, and collect its first invoice."""
    world.keep(subscription)
    customer = world.store.all("customer")[subscription["customer"]]
    customer["currency"] = customer["currency"] or subscription["currency"]
    world.keep(customer)
    # Made first, so that the events' snapshots know it; the event of the subscription is older.
    invoice = invoice_shape.build(
        world,
        customer,
        subscription,
        _lines(world, subscription),
        reason="subscription_create",
        at=subscription["created"],
    )
    subscription["latest_invoice"] = invoice["id"]
    world.keep(subscription)
    world.emit("customer.subscription.created", subscription)
    world.keep(invoice)
    world.emit("invoice.created", invoice)
    if behavior == "default_incomplete" and not free:
        invoices.finalize(world, invoice)
        states.schedule(world, subscription)
        return subscription
    refusal = collection.collect(world, invoice)
    if refusal is not None and behavior == "error_if_incomplete":
        states.expire(world, subscription)
        raise refusal
    states.schedule(world, subscription)
    _remind(world, subscription)
    return subscription


def _remind(world: World, subscription: Object) -> None:
    end = subscription["trial_end"]
    near = end is not None and end - world.now(subscription) <= states.TOLD_BEFORE_S
    if near and subscription["status"] == "trialing":
        lives.tell_trial_ends(world, subscription)
        states.schedule(world, subscription)


def update(world: World, call: Call) -> Object:
    """Change a subscription; what may change depends on its status."""
    own = ("pause_collection", "proration_date", "cancellation_details")
    params = call.params.only(*COMMON, *own)
    subscription: Object = world.need(_KIND, call.id)
    if subscription["status"] in states.ENDED:
        allowed = {"metadata", "cancellation_details", "expand"}
        if set(params.values) - allowed:
            message = (
                "A canceled subscription can only update its cancellation_details and metadata."
            )
            raise Refusal(message)
    changes.apply(world, subscription, params)
    _remind(world, subscription)
    return subscription


def cancel(world: World, call: Call) -> Object:
    """Cancel now, with a credit for the unused part where that is asked for."""
    params = call.params.only("invoice_now", "prorate", "cancellation_details")
    subscription: Object = world.need(_KIND, call.id)
    if subscription["status"] in states.ENDED:
        raise missing_again(call.id)
    details = params.inner("cancellation_details").only("comment", "feedback")
    for name in ("comment", "feedback"):
        if name in details:
            subscription["cancellation_details"][name] = details.text(name)
    at = world.now(subscription)
    if params.boolean("prorate"):
        for item in subscription["items"]["data"]:
            amount = prorations.left(subscription, item, at)
            if amount:
                said = prorations.said(world, item, credit=True)
                prorations.wait(world, subscription, item, -amount, at, description=said)
    elif not params.boolean("invoice_now"):
        waiting = [item["id"] for item in invoice_lines.pending(world, subscription)]
        world.store.drop("invoiceitem", waiting)
    invoice = None
    if params.boolean("invoice_now") and invoice_lines.pending(world, subscription):
        invoice = invoices.draft(world, subscription, [], reason="subscription_update")
        subscription["latest_invoice"] = invoice["id"]
    if invoice is not None:
        collection.collect(world, invoice)
    states.end(world, subscription, reason="cancellation_requested")
    return subscription


def missing_again(name: str) -> Refusal:
    """What is canceled cannot be canceled again."""
    return Refusal(
        f"No such subscription: '{name}'",
        status=404,
        code="resource_missing",
        param="id",
    )


def resume(world: World, call: Call) -> Object:
    """A paused one goes on; what becomes of its invoice decides."""
    params = call.params.only(
        *("billing_cycle_anchor", "payment_behavior", "proration_behavior", "proration_date"),
    )
    behaviors = ("resume_on_payment_attempt", "resume_on_payment_success")
    behavior = params.choice("payment_behavior", behaviors, behaviors[0])
    anchor = params.inner("billing_cycle_anchor").only("type")
    anchored = anchor.choice("type", ("now", "unchanged"), "now")
    subscription: Object = world.need(_KIND, call.id)
    if subscription["status"] != "paused":
        message = "Only paused subscriptions can be resumed."
        raise Refusal(message, code="subscription_not_paused")
    lives.resume(
        world,
        subscription,
        reset=anchored == "now",
        prorated=params.text("proration_behavior") != "none",
        at_once=behavior == behaviors[0],
    )
    return subscription


def _trial_end(params: Params, now: int) -> int | None:
    days = params.integer("trial_period_days", least=0)
    if params.values.get("trial_end") == "now":
        return None
    end = params.integer("trial_end")
    if days is not None and end is not None:
        raise invalid("trial_end", "You cannot pass both trial_end and trial_period_days.")
    if days:
        end = now + days * _DAY_S
    if end is None:
        return None
    if not now < end <= now + _TWO_YEARS_S:
        message = "Invalid timestamp: must be in the future, and at most two years from now."
        raise invalid("trial_end", message)
    return end


def _end_behavior(params: Params, default: str) -> Object:
    inner = params.inner("trial_settings").only("end_behavior").inner("end_behavior")
    inner.only("missing_payment_method", "billing_cycle_anchor")
    accepted = ("cancel", "create_invoice", "pause")
    return {
        "billing_cycle_anchor": None,
        "missing_payment_method": inner.choice("missing_payment_method", accepted, default),
    }


ROUTES: Routes = {
    ("POST", "subscriptions"): create,
    ("POST", "subscriptions/*"): update,
    ("DELETE", "subscriptions/*"): cancel,
    ("POST", "subscriptions/*/resume"): resume,
}
