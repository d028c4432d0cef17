"""A subscription, its items and their plans as the API shows them."""

from __future__ import annotations

from outbox.simulators.stripe.errors import invalid
from outbox.simulators.stripe.expand import listed
from outbox.simulators.stripe.forms import Params
from outbox.simulators.stripe.store import Object, new_id
from outbox.simulators.stripe.world import World


def blank(world: World, customer: Object, now: int) -> Object:
    """A subscription without items, not kept yet."""
    subscription = world.new(
        "subscription",
        "sub",
        now,
        {
            "application": None,
            "application_fee_percent": None,
            "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
            "billing_cycle_anchor": now,
            "billing_cycle_anchor_config": None,
            "billing_mode": {
                "flexible": {"proration_discounts": "included"},
                "type": "flexible",
                "updated_at": now,
            },
            "billing_schedules": [],
            "billing_thresholds": None,
            "cancel_at": None,
            "cancel_at_period_end": False,
            "canceled_at": None,
            "cancellation_details": {"comment": None, "feedback": None, "reason": None},
            "collection_method": "charge_automatically",
            "currency": "usd",
            "customer": customer["id"],
            "customer_account": None,
            "days_until_due": None,
            "default_payment_method": None,
            "default_source": None,
            "default_tax_rates": [],
            "description": None,
            "discounts": [],
            "ended_at": None,
            "invoice_settings": {"account_tax_ids": None, "issuer": {"type": "self"}},
            "latest_invoice": None,
            "managed_payments": None,
            "metadata": {},
            "next_pending_invoice_item_invoice": None,
            "on_behalf_of": None,
            "pause_collection": None,
            "payment_settings": {
                "payment_method_options": None,
                "payment_method_types": None,
                "save_default_payment_method": "off",
            },
            "pending_invoice_item_interval": None,
            "pending_setup_intent": None,
            "pending_update": None,
            "schedule": None,
            "start_date": now,
            "status": "incomplete",
            "status_details": None,
            "test_clock": customer["test_clock"],
            "transfer_data": None,
            "trial_end": None,
            "trial_settings": None,
            "trial_start": None,
        },
    )
    url = f"/v1/subscription_items?subscription={subscription['id']}"
    subscription["items"] = {**listed([], url), "total_count": 1}
    return subscription


def item(subscription: Object, price: Object, params: Params, now: int) -> Object:
    """A new item; raises `Refusal` for a price that cannot be subscribed to."""
    check(price, params.name("price"))
    quantity = params.integer("quantity", least=0)
    return {
        "id": new_id("si"),
        "object": "subscription_item",
        "billed_until": None,
        "billing_thresholds": None,
        "created": now,
        "current_period_end": now,
        "current_period_start": now,
        "current_trial": None,
        "discounts": [],
        "metadata": params.metadata({}),
        "plan": plan(price),
        "price": price,
        "quantity": 1 if quantity is None else quantity,
        "subscription": subscription["id"],
        "tax_rates": [],
    }


def check(price: Object, param: str) -> None:
    """Refuse a price that nobody can subscribe to."""
    if price["recurring"] is None:
        message = f"The price specified is set to `type=one_time`: {price['id']}"
        raise invalid(param, message)
    if not price["active"]:
        message = "The price specified is inactive. This field only accepts active prices."
        raise invalid(param, message)


def plan(price: Object) -> Object:
    """A price in its older shape."""
    recurring = price["recurring"]
    return {
        "id": price["id"],
        "object": "plan",
        "active": price["active"],
        "amount": price["unit_amount"],
        "amount_decimal": price["unit_amount_decimal"],
        "billing_scheme": "per_unit",
        "created": price["created"],
        "currency": price["currency"],
        "interval": recurring["interval"],
        "interval_count": recurring["interval_count"],
        "livemode": False,
        "metadata": {},
        "meter": None,
        "nickname": price["nickname"],
        "product": price["product"],
        "tiers_mode": None,
        "transform_usage": None,
        "trial_period_days": None,
        "usage_type": "licensed",
    }
