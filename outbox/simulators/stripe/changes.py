"""Changes of a subscription: its items with prorations, its trial, its end, its collection."""

from __future__ import annotations

from outbox.simulators.stripe import (
    collection,
    invoice_lines,
    invoices,
    lives,
    payment_methods,
    periods,
    prorations,
    states,
    subscription_shape,
)
from outbox.simulators.stripe.errors import Refusal, invalid
from outbox.simulators.stripe.forms import Params
from outbox.simulators.stripe.store import Object
from outbox.simulators.stripe.world import World

_UPDATED = "customer.subscription.updated"
_PAUSES = ("keep_as_draft", "mark_uncollectible", "void")
_PRORATED = ("create_prorations", "always_invoice", "none")
_ENDS = ("cancel", "create_invoice", "pause")


def apply(world: World, subscription: Object, params: Params) -> None:
    """Everything that one call changes, with one event for all of it."""
    behavior = params.choice("proration_behavior", _PRORATED, "create_prorations")
    pays = params.text("payment_behavior") or "allow_incomplete"
    wanted = _items(world, subscription, params)
    trial_end = _new_trial_end(world, subscription, params)
    method = params.text("default_payment_method")
    customer = world.store.all("customer")[subscription["customer"]]
    if method is not None:
        payment_methods.owned(world, method, customer)
    starts = trial_end == "now" and subscription["status"] == "trialing"
    with world.changing(_UPDATED, subscription):
        _plain(subscription, params)
        cancel_dates(world, subscription, params)
        if "pause_collection" in params:
            _pause_collection(subscription, params)
        if wanted is not None:
            at = params.integer("proration_date") or world.now(subscription)
            _replace(world, subscription, wanted, at, prorated=behavior != "none")
        if isinstance(trial_end, int):
            _extend(world, subscription, trial_end)
    if starts:
        lives.tell_trial_ends(world, subscription)
        if states.default_method(world, subscription) is None and _pauses(subscription):
            lives.pause(world, subscription)
        else:
            lives.start_paying(world, subscription, at_once=True)
    elif wanted is not None and behavior == "always_invoice":
        _invoice(world, subscription, strict=pays == "error_if_incomplete")
    states.schedule(world, subscription)


def cancel_dates(world: World, subscription: Object, params: Params) -> None:
    """When it is to end, or that it is not."""
    item = subscription["items"]["data"][0]
    now = world.now(subscription)
    if "cancel_at_period_end" in params:
        ends = params.boolean("cancel_at_period_end")
        subscription |= {
            "cancel_at": item["current_period_end"] if ends else None,
            "cancel_at_period_end": ends,
            "canceled_at": now if ends else None,
        }
        subscription["cancellation_details"]["reason"] = "cancellation_requested" if ends else None
    if "cancel_at" in params:
        if params.text("cancel_at") in {"min_period_end", "max_period_end"}:
            at: int | None = item["current_period_end"]
        else:
            at = params.integer("cancel_at")
        if at is not None and at <= now:
            raise invalid("cancel_at", "The timestamp must be in the future.")
        subscription |= {
            "cancel_at": at,
            "cancel_at_period_end": False,
            "canceled_at": now if at else None,
        }
    details = params.inner("cancellation_details").only("comment", "feedback")
    for name in ("comment", "feedback"):
        if name in details:
            subscription["cancellation_details"][name] = details.text(name)


def _plain(subscription: Object, params: Params) -> None:
    for name in ("default_payment_method", "description"):
        if name in params:
            subscription[name] = params.text(name)
    subscription["metadata"] = params.metadata(subscription["metadata"])
    inner = params.inner("trial_settings").only("end_behavior").inner("end_behavior")
    if "missing_payment_method" in inner:
        chosen = inner.choice("missing_payment_method", _ENDS, "create_invoice")
        subscription["trial_settings"]["end_behavior"]["missing_payment_method"] = chosen


def _pause_collection(subscription: Object, params: Params) -> None:
    inner = params.inner("pause_collection").only("behavior", "resumes_at")
    if not inner.values:
        subscription["pause_collection"] = None
        return
    subscription["pause_collection"] = {
        "behavior": inner.choice("behavior", _PAUSES, ""),
        "resumes_at": inner.integer("resumes_at"),
    }


def _items(world: World, subscription: Object, params: Params) -> list[Object] | None:
    """The items as they shall be; null when nothing is said of them."""
    if "items" not in params:
        return None
    items = {item["id"]: dict(item) for item in subscription["items"]["data"]}
    now = world.now(subscription)
    for one in params.each("items"):
        one.only("id", "price", "quantity", "deleted", "metadata", "clear_usage")
        name = one.text("id")
        if name is not None and name not in items:
            raise invalid(one.name("id"), f"Invalid subscription item: {name}", "resource_missing")
        if name is not None and one.boolean("deleted"):
            del items[name]
            continue
        price = one.text("price")
        found = None if price is None else world.need("price", price, param=one.name("price"))
        if name is None:
            if found is None:
                raise invalid(one.name("price"), "Missing required param.", "parameter_missing")
            item = subscription_shape.item(subscription, found, one, now)
            first = subscription["items"]["data"][0]
            item["current_period_start"] = first["current_period_start"]
            item["current_period_end"] = first["current_period_end"]
            items[item["id"]] = item
            continue
        item = items[name]
        if found is not None:
            subscription_shape.check(found, one.name("price"))
            item |= {"price": found, "plan": subscription_shape.plan(found)}
        quantity = one.integer("quantity", least=0)
        item["quantity"] = item["quantity"] if quantity is None else quantity
        item["metadata"] = one.metadata(item["metadata"])
    if not items:
        message = "A subscription must have at least one active plan."
        raise Refusal(message)
    return list(items.values())


def _replace(
    world: World,
    subscription: Object,
    wanted: list[Object],
    at: int,
    *,
    prorated: bool,
) -> None:
    before = {item["id"]: item for item in subscription["items"]["data"]}
    after = {item["id"]: item for item in wanted}
    for name in before.keys() | after.keys() if prorated else ():
        old, new = before.get(name), after.get(name)
        if (
            old
            and new
            and (old["price"]["id"], old["quantity"])
            == (
                new["price"]["id"],
                new["quantity"],
            )
        ):
            continue
        for item, sign in ((old, -1), (new, 1)):
            amount = prorations.left(subscription, item, at) if item is not None else 0
            if item is not None and amount:
                said = prorations.said(world, item, credit=sign < 0)
                prorations.wait(world, subscription, item, sign * amount, at, description=said)
    old_interval = _interval(subscription["items"]["data"][0])
    subscription["items"] |= {"data": wanted, "total_count": len(wanted)}
    if _interval(wanted[0]) != old_interval and subscription["status"] in {"active", "past_due"}:
        now = world.now(subscription)
        recurring = wanted[0]["price"]["recurring"]
        subscription["billing_cycle_anchor"] = now
        states.move_to(subscription, now, periods.after(now, recurring, 1))


def _interval(item: Object) -> tuple[str, int]:
    recurring = item["price"]["recurring"]
    return recurring["interval"], recurring["interval_count"]


def _new_trial_end(world: World, subscription: Object, params: Params) -> int | str | None:
    if params.values.get("trial_end") == "now":
        return "now"
    at = params.integer("trial_end")
    if at is not None and at <= world.now(subscription):
        raise invalid("trial_end", "Invalid timestamp: must be an integer in the future.")
    return at


def _extend(world: World, subscription: Object, trial_end: int) -> None:
    """A trial that ends later or sooner, or one that is added to a running subscription."""
    now = world.now(subscription)
    subscription |= {
        "billing_cycle_anchor": trial_end,
        "status": "trialing",
        "trial_end": trial_end,
        "trial_start": subscription["trial_start"] or now,
    }
    if subscription["cancel_at_period_end"]:
        subscription["cancel_at"] = trial_end
    start = subscription["items"]["data"][0]["current_period_start"]
    states.move_to(subscription, start, trial_end)


def _pauses(subscription: Object) -> bool:
    behavior = subscription["trial_settings"]["end_behavior"]["missing_payment_method"]
    return bool(behavior == "pause")


def _invoice(world: World, subscription: Object, *, strict: bool) -> None:
    """Prorations are invoiced at once."""
    if not invoice_lines.pending(world, subscription):
        return
    invoice = invoices.draft(world, subscription, [], reason="subscription_update")
    with world.changing(_UPDATED, subscription):
        subscription["latest_invoice"] = invoice["id"]
    refusal = collection.collect(world, invoice)
    if refusal is not None and strict:
        raise refusal
