"""Charges: one for each try to take money from a card, with a line in the ledger."""

from __future__ import annotations

from outbox.simulators.stripe import payment_methods
from outbox.simulators.stripe.cards import Card
from outbox.simulators.stripe.store import Object, new_id
from outbox.simulators.stripe.world import World


def make(world: World, invoice: Object, intent: Object, method: Object, card: Card) -> Object:
    """Try once, and keep what became of it; the intent knows its newest one."""
    fails = card.code is not None
    if fails and card.first:
        done = world.facts(method["id"]).get("paid", 0)
        world.know(method["id"], paid=done + 1)
        fails = done >= card.first
    if card.action:
        fails = False
    amount = intent["amount"]
    made = world.new(
        "charge",
        "ch",
        world.now(invoice),
        {
            "amount": amount,
            "amount_captured": 0 if fails else amount,
            "amount_refunded": 0,
            "application": None,
            "application_fee": None,
            "application_fee_amount": None,
            "balance_transaction": None if fails else new_id("txn"),
            "billing_details": method["billing_details"],
            "calculated_statement_descriptor": "PRUUF",
            "captured": not fails,
            "currency": intent["currency"],
            "customer": invoice["customer"],
            "description": intent["description"],
            "disputed": False,
            "failure_balance_transaction": None,
            "failure_code": card.code if fails else None,
            "failure_message": str(payment_methods.declined(card)) if fails else None,
            "fraud_details": {},
            "metadata": {},
            "on_behalf_of": None,
            "outcome": {
                "network_decline_code": None,
                "network_status": "declined_by_network" if fails else "approved_by_network",
                "reason": card.decline if fails else None,
                "risk_level": "normal",
                "seller_message": "Payment declined." if fails else "Payment complete.",
                "type": "issuer_declined" if fails else "authorized",
            },
            "paid": not fails,
            "payment_intent": intent["id"],
            "payment_method": method["id"],
            "payment_method_details": {
                "card": {
                    "brand": method["card"]["brand"],
                    "exp_month": method["card"]["exp_month"],
                    "exp_year": method["card"]["exp_year"],
                    "last4": method["card"]["last4"],
                },
                "type": "card",
            },
            "receipt_email": None,
            "receipt_number": None,
            "receipt_url": None,
            "refunded": False,
            "review": None,
            "shipping": None,
            "source": None,
            "source_transfer": None,
            "statement_descriptor": None,
            "statement_descriptor_suffix": None,
            "status": "failed" if fails else "succeeded",
            "transfer_data": None,
            "transfer_group": None,
        },
    )
    intent["latest_charge"] = made["id"]
    world.keep(made)
    details = (invoice["parent"] or {}).get("subscription_details") or {}
    periods = [line["period"] for line in invoice["lines"]["data"]]
    world.record(
        made["id"],
        to=invoice["customer"],
        reference=invoice["id"],
        text={
            "what": "charge_failed" if fails else "charge",
            "amount": amount,
            "currency": intent["currency"],
            "subscription": details.get("subscription"),
            "from": min((period["start"] for period in periods), default=None),
            "until": max((period["end"] for period in periods), default=None),
            "at": made["created"],
        },
    )
    return made
