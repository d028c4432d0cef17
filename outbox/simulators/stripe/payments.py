"""Payment intents and the credit balance; nothing here knows of subscriptions."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from outbox.simulators.stripe import charges, disputes, payment_methods
from outbox.simulators.stripe.cards import Card
from outbox.simulators.stripe.errors import Refusal
from outbox.simulators.stripe.store import Object, new_id
from outbox.simulators.stripe.world import World

LEAST = 50
"""Nothing smaller is charged, in cents."""


class Outcome(Struct, frozen=True):
    """What became of one try to charge."""

    error: Refusal | None
    """Null: it was paid."""
    decline: str | None = None
    action: bool = False
    """The customer must do something."""


def balance(  # noqa: PLR0913 - the fields of a transaction
    world: World,
    customer: Object,
    amount: int,
    kind: str,
    *,
    currency: str,
    invoice: str | None = None,
    credit_note: str | None = None,
    description: str | None = None,
    metadata: Mapping[str, str] | None = None,
) -> Object:
    """Change a customer's balance, with a transaction that says why; negative is a credit."""
    with world.changing("customer.updated", customer):
        customer["balance"] += amount
        customer["currency"] = customer["currency"] or currency
    transaction = world.new(
        "customer_balance_transaction",
        "cbtxn",
        world.now(customer),
        {
            "amount": amount,
            "checkout_session": None,
            "credit_note": credit_note,
            "currency": currency,
            "customer": customer["id"],
            "customer_account": None,
            "description": description,
            "ending_balance": customer["balance"],
            "invoice": invoice,
            "metadata": dict(metadata or {}),
            "type": kind,
        },
    )
    world.keep(transaction)
    return transaction


def intend(world: World, invoice: Object, amount: int) -> Object:
    """The payment intent of an invoice, and the payment that ties them."""
    at = world.now(invoice)
    intent = world.new(
        "payment_intent",
        "pi",
        at,
        {
            "amount": amount,
            "amount_capturable": 0,
            "amount_details": {"tip": {}},
            "amount_received": 0,
            "application": None,
            "application_fee_amount": None,
            "automatic_payment_methods": None,
            "canceled_at": None,
            "cancellation_reason": None,
            "capture_method": "automatic",
            "client_secret": "",
            "confirmation_method": "automatic",
            "currency": invoice["currency"],
            "customer": invoice["customer"],
            "customer_account": None,
            "description": invoice["description"] or "Subscription update",
            "last_payment_error": None,
            "latest_charge": None,
            "metadata": {},
            "next_action": None,
            "on_behalf_of": None,
            "payment_method": None,
            "payment_method_options": {"card": {}},
            "payment_method_types": ["card"],
            "processing": None,
            "receipt_email": None,
            "review": None,
            "setup_future_usage": "off_session",
            "shipping": None,
            "source": None,
            "statement_descriptor": None,
            "statement_descriptor_suffix": None,
            "status": "requires_payment_method",
            "transfer_data": None,
            "transfer_group": None,
        },
    )
    intent["client_secret"] = f"{intent['id']}_secret_{new_id('s')[2:]}"
    payment = world.new(
        "invoice_payment",
        "inpay",
        at,
        {
            "amount_paid": None,
            "amount_requested": amount,
            "currency": invoice["currency"],
            "invoice": invoice["id"],
            "is_default": True,
            "payment": {"type": "payment_intent", "payment_intent": intent["id"]},
            "status": "open",
            "status_transitions": {"canceled_at": None, "paid_at": None},
        },
    )
    world.keep(intent)
    world.keep(payment)
    world.emit("payment_intent.created", intent)
    return intent


def payment_of(world: World, invoice: Object) -> Object | None:
    """The default payment of an invoice; null when it has none."""
    return next(iter(world.store.of("invoice_payment", invoice["id"])), None)


def charge(world: World, invoice: Object, method: Object | None, *, confirmed: bool) -> Outcome:
    """Try to take what an invoice's intent asks for; ``confirmed``: the customer did their part."""
    payment = payment_of(world, invoice)
    if payment is None:
        msg = f"an open invoice without payment: {invoice['id']}"
        raise AssertionError(msg)
    intent: Object = world.store.all("payment_intent")[payment["payment"]["payment_intent"]]
    if method is None:
        return Outcome(_no_method())
    card = payment_methods.card_of(world, method["id"])
    intent["payment_method"] = method["id"]
    if card.action and not confirmed:
        return _acts(world, intent, method, card)
    made = charges.make(world, invoice, intent, method, card)
    if made["status"] == "failed":
        return _failed(world, intent, method, card, made)
    intent |= {
        "amount_received": intent["amount"],
        "last_payment_error": None,
        "next_action": None,
        "status": "succeeded",
    }
    world.keep(intent)
    world.emit("charge.succeeded", made)
    world.emit("payment_intent.succeeded", intent)
    payment |= {"amount_paid": intent["amount"], "status": "paid"}
    payment["status_transitions"]["paid_at"] = made["created"]
    world.keep(payment)
    world.emit("invoice_payment.paid", payment)
    if card.dispute is not None:
        disputes.open_for(world, made, card.dispute)
    return Outcome(None)


def cancel(world: World, invoice: Object) -> None:
    """An invoice is not collected any more: neither is its intent."""
    payment = payment_of(world, invoice)
    if payment is None or payment["status"] != "open":
        return
    at = world.now(invoice)
    intent: Object = world.store.all("payment_intent")[payment["payment"]["payment_intent"]]
    intent |= {"status": "canceled", "canceled_at": at, "cancellation_reason": "void_invoice"}
    payment["status"] = "canceled"
    payment["status_transitions"]["canceled_at"] = at
    world.keep(intent)
    world.keep(payment)
    world.emit("payment_intent.canceled", intent)


def _no_method() -> Refusal:
    return Refusal(
        "This customer has no attached payment source or default payment method. Please consider"
        " adding a default payment method.",
        code="resource_missing",
    )


def _acts(world: World, intent: Object, method: Object, card: Card) -> Outcome:
    intent |= {
        "status": "requires_action",
        "next_action": {"type": "use_stripe_sdk", "use_stripe_sdk": {}},
    }
    world.keep(intent)
    world.emit("payment_intent.requires_action", intent)
    refusal = Refusal(
        "This invoice's payment needs an action of the customer.",
        status=402,
        kind="card_error",
        code="invoice_payment_intent_requires_action",
        more={"payment_intent": intent, "payment_method": method},
    )
    return Outcome(refusal, card.decline, action=True)


def _failed(world: World, intent: Object, method: Object, card: Card, made: Object) -> Outcome:
    refusal = payment_methods.declined(card, charge=made["id"], payment_method=method)
    intent |= {
        "last_payment_error": refusal.fields(),
        "next_action": None,
        "payment_method": None,
        "status": "requires_payment_method",
    }
    world.keep(intent)
    world.emit("charge.failed", made)
    world.emit("payment_intent.payment_failed", intent)
    return Outcome(refusal, card.decline)
