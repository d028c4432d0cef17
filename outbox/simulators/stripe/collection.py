"""Collecting an invoice, trying again for two weeks, and what it means for its subscription."""

from __future__ import annotations

from outbox.simulators.stripe import cards, invoices, payments, states
from outbox.simulators.stripe.errors import Refusal
from outbox.simulators.stripe.payments import Outcome
from outbox.simulators.stripe.store import Object
from outbox.simulators.stripe.world import World

_DAY_S = 86_400


def collect(
    world: World,
    invoice: Object,
    *,
    method: Object | None = None,
    automatic: bool = True,
    confirmed: bool = False,
) -> Refusal | None:
    """Finalise if need be, then try to be paid; the error says why it was not.

    ``automatic``: by the schedule of tries, not by a call. ``method``: other than the default.
    """
    if invoice["status"] == "draft":
        invoices.finalize(world, invoice)
    subscription = invoices.subscription_of(world, invoice)
    if not invoice["amount_due"]:
        invoices.paid(world, invoice)
        _paid(world, invoice, subscription)
        return None
    chosen = method or _method(world, invoice, subscription)
    if automatic and chosen is not None and _hopeless(world, invoice, chosen):
        with world.changing("invoice.updated", invoice):
            invoice["attempt_count"] += 1
            _next_try(world, invoice, subscription)
        _last(world, invoice, subscription)
        return None
    tried = payments.charge(world, invoice, chosen, confirmed=confirmed)
    if tried.error is None:
        invoice["attempt_count"] += automatic or not invoice["attempted"]
        invoices.paid(world, invoice)
        _paid(world, invoice, subscription)
        return None
    world.know(invoice["id"], declined=tried.decline, method=chosen["id"] if chosen else None)
    _failed(world, invoice, subscription, tried, automatic=automatic)
    return tried.error


def settle(world: World, invoice: Object) -> None:
    """It was paid elsewhere."""
    if invoice["status"] == "draft":
        invoices.finalize(world, invoice)
    invoices.paid(world, invoice, off_stripe=True)
    _paid(world, invoice, invoices.subscription_of(world, invoice))


def forgiven(world: World, invoice: Object) -> None:
    """It was written off: its subscription is in good standing again."""
    subscription = invoices.subscription_of(world, invoice)
    if subscription is not None and subscription["status"] != "active":
        _revive(world, invoice, subscription)


def step(world: World, invoice: Object) -> None:
    """What an invoice does by itself at this moment."""
    void_at = world.facts(invoice["id"]).get("void_at")
    if invoice["status"] == "open" and void_at is not None and void_at <= world.now(invoice):
        invoices.void(world, invoice)
        return
    subscription = invoices.subscription_of(world, invoice)
    paused = subscription["pause_collection"] if subscription is not None else None
    if invoice["status"] == "draft" and paused is not None:
        if paused["behavior"] == "keep_as_draft":
            invoices.rest(world, invoice)
            return
        invoices.finalize(world, invoice)
        if paused["behavior"] == "void":
            invoices.void(world, invoice)
        else:
            invoices.write_off(world, invoice)
        return
    collect(world, invoice)


def retry(world: World, invoice: Object, subscription: Object) -> None:
    """Let an unpaid invoice be tried again by the schedule."""
    with world.changing("invoice.updated", invoice):
        _next_try(world, invoice, subscription)


def _method(world: World, invoice: Object, subscription: Object | None) -> Object | None:
    if invoice["default_payment_method"] is not None:
        found: Object = world.store.all("payment_method")[invoice["default_payment_method"]]
        return found
    if subscription is not None:
        return states.default_method(world, subscription)
    customer = world.store.all("customer")[invoice["customer"]]
    name = customer["invoice_settings"]["default_payment_method"]
    return None if name is None else world.store.get("payment_method", name)


def _hopeless(world: World, invoice: Object, method: Object) -> bool:
    """Whether it was a hard decline, and there is no other card yet."""
    known = world.facts(invoice["id"])
    return known.get("declined") in cards.HARD and known.get("method") == method["id"]


def _paid(world: World, invoice: Object, subscription: Object | None) -> None:
    customer = world.store.all("customer")[invoice["customer"]]
    if customer["delinquent"]:
        with world.changing("customer.updated", customer):
            customer["delinquent"] = False
    if subscription is not None:
        _revive(world, invoice, subscription)


def _revive(world: World, invoice: Object, subscription: Object) -> None:
    status = subscription["status"]
    if status == "paused" and world.facts(subscription["id"]).get("resumes") == invoice["id"]:
        states.put(world, subscription, "active")
        world.emit("customer.subscription.resumed", subscription)
    elif status in {"incomplete", "past_due", "unpaid"} and _is_latest(world, invoice):
        states.put(world, subscription, "active")


def _is_latest(world: World, invoice: Object) -> bool:
    """Whether no later invoice of its subscription waits for payment."""
    subscription = invoices.subscription_of(world, invoice)
    if subscription is None:
        return True
    newer = invoices.of_subscription(world, subscription)
    latest = next((one for one in newer if one["status"] not in {"draft", "void"}), invoice)
    return bool(latest["id"] == invoice["id"])


def _failed(
    world: World,
    invoice: Object,
    subscription: Object | None,
    tried: Outcome,
    *,
    automatic: bool,
) -> None:
    first = not invoice["attempted"]
    old = invoice["attempt_count"], invoice["next_payment_attempt"]
    if automatic or first:
        invoice["attempt_count"] += 1
        invoice["attempted"] = True
        if first:
            world.know(invoice["id"], first_failed=world.now(invoice))
        _next_try(world, invoice, subscription)
    world.keep(invoice)
    if tried.action:
        world.emit("invoice.payment_action_required", invoice)
    world.emit("invoice.payment_failed", invoice)
    before = {"attempt_count": old[0], "next_payment_attempt": old[1]}
    changed = {name: value for name, value in before.items() if invoice[name] != value}
    if changed:
        world.emit("invoice.updated", invoice, changed)
    customer = world.store.all("customer")[invoice["customer"]]
    if not customer["delinquent"]:
        with world.changing("customer.updated", customer):
            customer["delinquent"] = True
    if subscription is not None and subscription["status"] in {"active", "trialing"}:
        states.put(world, subscription, "past_due")
    _last(world, invoice, subscription)


def _next_try(world: World, invoice: Object, subscription: Object | None) -> None:
    """When it is tried again: by the days of the schedule, never for the first invoice."""
    days = world.settings["retry_days"]
    done = invoice["attempt_count"] - 1
    retried = invoice["auto_advance"] and not (
        subscription is not None and subscription["status"] in {"incomplete", "paused", "unpaid"}
    )
    at = None
    if retried and done < len(days):
        first = world.facts(invoice["id"]).get("first_failed", world.now(invoice))
        at = max(first + int(days[done] * _DAY_S), world.now(invoice) + 1)
    invoice["next_payment_attempt"] = at
    invoices.schedule(world, invoice)


def _last(world: World, invoice: Object, subscription: Object | None) -> None:
    """After the last try the subscription ends as the account's settings say."""
    exhausted = invoice["next_payment_attempt"] is None and invoice["auto_advance"]
    if not exhausted or subscription is None or subscription["status"] != "past_due":
        return
    match world.settings["dunning_end"]:
        case "cancel":
            states.end(world, subscription, reason="payment_failed")
        case "unpaid":
            states.put(world, subscription, "unpaid")
