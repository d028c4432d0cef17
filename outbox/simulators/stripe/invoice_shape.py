"""An invoice as the pinned API version shows it."""

from __future__ import annotations

from collections.abc import Sequence

from outbox.simulators.stripe.expand import listed
from outbox.simulators.stripe.store import Object
from outbox.simulators.stripe.world import World

FINALIZED_AFTER_S = 3600


def build(  # noqa: PLR0913 - the fields of an invoice
    world: World,
    customer: Object,
    subscription: Object | None,
    lines: Sequence[Object],
    *,
    reason: str,
    at: int,
    collected: bool = True,
    name: str | None = None,
) -> Object:
    """A draft that is not kept yet; ``collected``: it goes on by itself."""
    total = sum(one["amount"] for one in lines)
    invoice = world.new(
        "invoice",
        "in",
        at,
        {
            "account_country": "US",
            "account_name": "Pruuf",
            "account_tax_ids": None,
            "amount_due": max(total, 0),
            "amount_overpaid": 0,
            "amount_paid": 0,
            "amount_paid_off_stripe": None,
            "amount_remaining": max(total, 0),
            "amount_shipping": 0,
            "application": None,
            "attempt_count": 0,
            "attempted": False,
            "auto_advance": collected,
            "automatic_tax": {
                "disabled_reason": None,
                "enabled": False,
                "liability": None,
                "provider": None,
                "status": None,
            },
            "automatically_finalizes_at": at + FINALIZED_AFTER_S if collected else None,
            "billing_reason": reason,
            "collection_method": "charge_automatically",
            "currency": lines[0]["currency"] if lines else "usd",
            "custom_fields": None,
            "customer": customer["id"],
            "customer_account": None,
            "customer_address": customer["address"],
            "customer_email": customer["email"],
            "customer_name": customer["name"],
            "customer_phone": customer["phone"],
            "customer_shipping": customer["shipping"],
            "customer_tax_exempt": "none",
            "customer_tax_ids": [],
            "default_payment_method": None,
            "default_source": None,
            "default_tax_rates": [],
            "description": None,
            "discounts": [],
            "due_date": None,
            "effective_at": None,
            "ending_balance": None,
            "footer": None,
            "from_invoice": None,
            "hosted_invoice_url": None,
            "invoice_pdf": None,
            "issuer": {"type": "self"},
            "last_finalization_error": None,
            "latest_revision": None,
            "lines": listed(lines, ""),
            "metadata": {},
            "next_payment_attempt": at + FINALIZED_AFTER_S if collected else None,
            "number": None,
            "on_behalf_of": None,
            "parent": _parent(subscription),
            "payment_settings": {
                "default_mandate": None,
                "payment_method_options": None,
                "payment_method_types": None,
            },
            "period_end": at,
            "period_start": at,
            "post_payment_credit_notes_amount": 0,
            "pre_payment_credit_notes_amount": 0,
            "receipt_number": None,
            "rendering": None,
            "shipping_cost": None,
            "shipping_details": None,
            "starting_balance": customer["balance"],
            "statement_descriptor": None,
            "status": "draft",
            "status_details": None,
            "status_transitions": {
                "finalized_at": None,
                "marked_uncollectible_at": None,
                "paid_at": None,
                "voided_at": None,
            },
            "subtotal": total,
            "subtotal_excluding_tax": total,
            "test_clock": customer["test_clock"],
            "threshold_reason": None,
            "total": total,
            "total_discount_amounts": [],
            "total_excluding_tax": total,
            "total_pretax_credit_amounts": [],
            "total_taxes": [],
            "webhooks_delivered_at": at,
        },
    )
    invoice["id"] = name or invoice["id"]
    invoice["lines"]["url"] = f"/v1/invoices/{invoice['id']}/lines"
    for one in lines:
        one["invoice"] = invoice["id"]
    return invoice


def _parent(subscription: Object | None) -> Object | None:
    if subscription is None:
        return None
    return {
        "quote_details": None,
        "subscription_details": {
            "metadata": dict(subscription["metadata"]),
            "subscription": subscription["id"],
        },
        "type": "subscription_details",
    }
