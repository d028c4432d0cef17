"""Invoices as objects: drafted, finalised, paid by balance, voided; the collecting is elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from outbox.simulators.stripe import invoice_lines, invoice_shape, payments
from outbox.simulators.stripe.store import Object
from outbox.simulators.stripe.world import World

_KIND = "invoice"
_HOSTED = "https://invoice.stripe.com/i/acct_simulated/"


def draft(  # noqa: PLR0913 - the fields of an invoice
    world: World,
    subscription: Object,
    lines: Sequence[Object],
    *,
    reason: str,
    collected: bool = True,
    extra: Sequence[Object] | None = None,
) -> Object:
    """A new draft, with all that waited for it; ``extra``: only these of the waiting items."""
    customer = world.store.all("customer")[subscription["customer"]]
    at = world.now(subscription)
    items = invoice_lines.pending(world, subscription) if extra is None else list(extra)
    everything = [*invoice_lines.of_items(world, subscription, items), *lines]
    invoice = invoice_shape.build(
        world,
        customer,
        subscription,
        everything,
        reason=reason,
        at=at,
        collected=collected,
    )
    for item in items:
        item["invoice"] = invoice["id"]
        world.keep(item)
    world.keep(invoice)
    world.emit("invoice.created", invoice)
    schedule(world, invoice)
    return invoice


def schedule(world: World, invoice: Object) -> None:
    """Come back when an invoice does something by itself."""
    at = None
    if invoice["status"] == "draft":
        at = invoice["automatically_finalizes_at"]
    elif invoice["status"] == "open":
        times = (invoice["next_payment_attempt"], world.facts(invoice["id"]).get("void_at"))
        at = min((time for time in times if time is not None), default=None)
    world.clock(invoice).call(at, _KIND, invoice["id"])


def finalize(world: World, invoice: Object) -> None:
    """Open a draft: it has a number, uses the customer's balance, and asks for a payment."""
    customer = world.store.all("customer")[invoice["customer"]]
    at = world.now(invoice)
    start, total = customer["balance"], invoice["total"]
    due = max(total + start, 0)
    end = total + start - due
    if 0 < due < payments.LEAST:
        # Too small to charge: it is owed with the next one.
        due, end = 0, due
    number = customer["next_invoice_sequence"]
    customer["next_invoice_sequence"] = number + 1
    world.keep(customer)
    invoice |= {
        "amount_due": due,
        "amount_remaining": due,
        "automatically_finalizes_at": None,
        "effective_at": at,
        "ending_balance": end,
        "hosted_invoice_url": f"{_HOSTED}{invoice['id']}",
        "invoice_pdf": f"{_HOSTED}{invoice['id']}/pdf",
        "number": f"{customer['invoice_prefix']}-{number:04}",
        "starting_balance": start,
        "status": "open",
    }
    invoice["status_transitions"]["finalized_at"] = at
    if end != start:
        payments.balance(
            world,
            customer,
            end - start,
            "applied_to_invoice" if start else "invoice_too_small" if end > 0 else "adjustment",
            currency=invoice["currency"],
            invoice=invoice["id"],
        )
    if due:
        payments.intend(world, invoice, due)
    world.keep(invoice)
    world.emit("invoice.finalized", invoice)


def paid(world: World, invoice: Object, *, off_stripe: bool = False) -> None:
    """It is settled."""
    if off_stripe:
        invoice["amount_paid_off_stripe"] = invoice["amount_remaining"]
        payments.cancel(world, invoice)
    invoice |= {
        "amount_paid": invoice["amount_due"],
        "amount_remaining": 0,
        "attempted": True,
        "next_payment_attempt": None,
        "status": "paid",
    }
    invoice["status_transitions"]["paid_at"] = world.now(invoice)
    world.keep(invoice)
    schedule(world, invoice)
    world.emit("invoice.paid", invoice)
    if not off_stripe:
        world.emit("invoice.payment_succeeded", invoice)


def void(world: World, invoice: Object) -> None:
    """It is as if it had never been; what it had used of the balance comes back."""
    _give_up(world, invoice, "void", "voided_at")
    start, end = invoice["starting_balance"], invoice["ending_balance"]
    if end is not None and end != start:
        customer = world.store.all("customer")[invoice["customer"]]
        payments.balance(
            world,
            customer,
            start - end,
            "unapplied_from_invoice",
            currency=invoice["currency"],
            invoice=invoice["id"],
        )
    world.emit("invoice.voided", invoice)


def write_off(world: World, invoice: Object, why: str = "user_forgiven") -> None:
    """It will not be paid."""
    invoice["status_details"] = {"uncollectible": {"reason": why}}
    _give_up(world, invoice, "uncollectible", "marked_uncollectible_at")
    world.emit("invoice.marked_uncollectible", invoice)


def rest(world: World, invoice: Object) -> None:
    """Stop collecting it by itself; it can still be paid."""
    with world.changing("invoice.updated", invoice):
        invoice |= {
            "auto_advance": False,
            "automatically_finalizes_at": None,
            "next_payment_attempt": None,
        }
    schedule(world, invoice)


def _give_up(world: World, invoice: Object, status: str, moment: str) -> None:
    payments.cancel(world, invoice)
    invoice |= {"auto_advance": False, "next_payment_attempt": None, "status": status}
    invoice["status_transitions"][moment] = world.now(invoice)
    world.keep(invoice)
    schedule(world, invoice)


def subscription_of(world: World, invoice: Object) -> Object | None:
    """The subscription that an invoice is of; null: none."""
    parent = invoice["parent"]
    if parent is None:
        return None
    found: Object = world.store.all("subscription")[parent["subscription_details"]["subscription"]]
    return found


def of_subscription(world: World, subscription: Object) -> list[Object]:
    """All invoices of a subscription, the newest first."""
    return [
        invoice
        for invoice in world.store.of(_KIND, subscription["customer"])
        if invoice["parent"] is not None
        and invoice["parent"]["subscription_details"]["subscription"] == subscription["id"]
    ]
