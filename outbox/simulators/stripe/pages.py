"""Hosted pages: Checkout in mode ``setup``, the billing portal, and somebody who fills them in."""

from __future__ import annotations

from outbox.simulators.stripe import lists, payment_methods
from outbox.simulators.stripe.errors import Refusal, invalid, required
from outbox.simulators.stripe.store import Object, new_id
from outbox.simulators.stripe.world import Call, Page, Routes, World

_CHECKOUT = "checkout.session"
_PORTAL = "billing_portal.session"
_KEPT_S = 86_400
_SHORTEST_S = 1800
_OTHERS = (
    *("cancel_url", "client_reference_id", "currency", "customer", "customer_email", "locale"),
    *("metadata", "mode", "payment_method_types", "return_url", "setup_intent_data"),
    *("success_url", "ui_mode", "expires_at", "billing_address_collection", "customer_creation"),
)


def create_checkout(world: World, call: Call) -> Object:
    """A page that takes a card for later."""
    params = call.params.only(*_OTHERS)
    if params.needed("mode") != "setup":
        raise invalid("mode", "Only mode `setup` is simulated.")
    customer = world.customer(params.needed("customer"))
    data = params.inner("setup_intent_data").only("metadata", "description")
    if "currency" not in params and not params.strings("payment_method_types"):
        raise required("currency")
    if "success_url" not in params and "return_url" not in params:
        raise required("success_url")
    now = world.now(customer)
    expires_at = params.integer("expires_at") or now + _KEPT_S
    if not now + _SHORTEST_S <= expires_at <= now + _KEPT_S:
        message = "The `expires_at` timestamp must be 30 minutes to 24 hours from now."
        raise invalid("expires_at", message)
    intent = _intent(world, customer, data.metadata({}))
    session = world.new(
        _CHECKOUT,
        "cs_test",
        now,
        {
            "after_expiration": None,
            "allow_promotion_codes": None,
            "amount_subtotal": None,
            "amount_total": None,
            "automatic_tax": {"enabled": False, "liability": None, "status": None},
            "billing_address_collection": None,
            "cancel_url": params.text("cancel_url"),
            "client_reference_id": params.text("client_reference_id"),
            "client_secret": None,
            "consent": None,
            "currency": params.text("currency"),
            "custom_fields": [],
            "custom_text": {},
            "customer": customer["id"],
            "customer_account": None,
            "customer_creation": None,
            "customer_details": {"email": customer["email"], "name": customer["name"]},
            "customer_email": None,
            "expires_at": expires_at,
            "invoice": None,
            "invoice_creation": None,
            "locale": params.text("locale"),
            "metadata": params.metadata({}),
            "mode": "setup",
            "payment_intent": None,
            "payment_link": None,
            "payment_method_collection": "always",
            "payment_method_types": ["card"],
            "payment_status": "no_payment_required",
            "return_url": params.text("return_url"),
            "setup_intent": intent["id"],
            "shipping_options": [],
            "status": "open",
            "subscription": None,
            "success_url": params.text("success_url"),
            "total_details": None,
            "ui_mode": "hosted_page",
            "url": None,
        },
    )
    session["url"] = f"https://checkout.stripe.com/c/pay/{session['id']}"
    world.keep(session)
    schedule(world, session)
    return session


def schedule(world: World, session: Object) -> None:
    """Come back when a page is open no more."""
    at = session["expires_at"] if session["status"] == "open" else None
    world.clock(session).call(at, _CHECKOUT, session["id"])


def expire(world: World, session: Object) -> None:
    """Nobody filled it in."""
    session |= {"status": "expired", "url": None}
    world.keep(session)
    schedule(world, session)
    world.emit("checkout.session.expired", session)


def end_checkout(world: World, call: Call) -> Object:
    """Close a page."""
    call.params.only()
    session: Object = world.need(_CHECKOUT, call.id)
    if session["status"] != "open":
        message = 'Only Checkout Sessions with a status in ["open"] can be expired.'
        raise Refusal(message)
    expire(world, session)
    return session


def checkout(world: World, call: Call) -> Object:
    """One page."""
    call.params.only()
    found: Object = world.need(_CHECKOUT, call.id)
    return found


def checkouts(world: World, call: Call) -> Page:
    """A list."""
    return lists.objects(world, call, _CHECKOUT, equal=("customer", "status", "subscription"))


def create_portal(world: World, call: Call) -> Object:
    """The portal, or one flow of it; such an address is good for a short time."""
    params = call.params.only(
        *("customer", "return_url", "flow_data", "configuration", "locale", "on_behalf_of"),
    )
    customer = world.customer(params.needed("customer"))
    flow = params.inner("flow_data")
    session = world.new(
        _PORTAL,
        "bps",
        world.now(customer),
        {
            "configuration": params.text("configuration") or "bpc_simulated",
            "customer": customer["id"],
            "customer_account": None,
            "flow": {**flow.values, "type": flow.needed("type")} if flow.values else None,
            "locale": params.text("locale"),
            "on_behalf_of": None,
            "return_url": params.text("return_url"),
            "url": "",
        },
    )
    session["url"] = f"https://billing.stripe.com/p/session/{session['id']}"
    world.keep(session)
    return session


def fill_in(world: World, name: str, card: str) -> Object:
    """Somebody enters a card into a page; the answer is the page, or the error that it shows."""
    kind = _PORTAL if name.startswith("bps_") else _CHECKOUT
    session: Object = world.need(kind, name)
    customer = world.customer(session["customer"])
    if kind == _CHECKOUT and session["status"] != "open":
        message = f"This page is {session['status']}."
        raise Refusal(message)
    if kind == _CHECKOUT:
        intent: Object = world.store.all("setup_intent")[session["setup_intent"]]
    else:
        intent = _intent(world, customer, {})
    confirm_with(world, intent, customer, card)
    if kind == _CHECKOUT:
        session |= {"status": "complete", "url": None}
        world.keep(session)
        schedule(world, session)
        world.emit("checkout.session.completed", session)
        return session
    # The portal, other than Checkout, makes the card the default.
    with world.changing("customer.updated", customer):
        customer["invoice_settings"]["default_payment_method"] = intent["payment_method"]
    return session


def confirm_with(world: World, intent: Object, customer: Object, card: str) -> None:
    """A card is entered; raises `Refusal` when it is not accepted."""
    try:
        method = payment_methods.attach_to(world, card, customer)
    except Refusal as refusal:
        intent |= {"last_setup_error": refusal.fields(), "status": "requires_payment_method"}
        world.keep(intent)
        world.emit("setup_intent.setup_failed", intent)
        raise
    intent |= {"last_setup_error": None, "payment_method": method["id"], "status": "succeeded"}
    world.keep(intent)
    world.emit("setup_intent.succeeded", intent)


def _intent(world: World, customer: Object, metadata: dict[str, str]) -> Object:
    intent = world.new(
        "setup_intent",
        "seti",
        world.now(customer),
        {
            "application": None,
            "automatic_payment_methods": None,
            "cancellation_reason": None,
            "client_secret": None,
            "customer": customer["id"],
            "customer_account": None,
            "description": None,
            "flow_directions": None,
            "last_setup_error": None,
            "latest_attempt": None,
            "mandate": None,
            "metadata": metadata,
            "next_action": None,
            "on_behalf_of": None,
            "payment_method": None,
            "payment_method_options": {},
            "payment_method_types": ["card"],
            "single_use_mandate": None,
            "status": "requires_payment_method",
            "usage": "off_session",
        },
    )
    intent["client_secret"] = f"{intent['id']}_secret_{new_id('s')[2:]}"
    world.keep(intent)
    world.emit("setup_intent.created", intent)
    return intent


def create_intent(world: World, call: Call) -> Object:
    """A setup intent by itself."""
    params = call.params.only(
        *("customer", "metadata", "payment_method", "confirm", "usage", "payment_method_types"),
        *("automatic_payment_methods", "description"),
    )
    customer = world.customer(params.needed("customer"))
    intent = _intent(world, customer, params.metadata({}))
    method = params.text("payment_method")
    if method is not None and params.boolean("confirm"):
        confirm_with(world, intent, customer, method)
    return intent


def confirm_intent(world: World, call: Call) -> Object:
    """Confirm one with a card."""
    params = call.params.only("payment_method", "return_url")
    intent: Object = world.need("setup_intent", call.id)
    if intent["status"] == "succeeded":
        message = "This SetupIntent has already succeeded."
        raise Refusal(message, code="setup_intent_unexpected_state")
    customer = world.customer(intent["customer"])
    confirm_with(world, intent, customer, params.needed("payment_method"))
    return intent


def intent(world: World, call: Call) -> Object:
    """One setup intent."""
    call.params.only("client_secret")
    found: Object = world.need("setup_intent", call.id)
    return found


def intents(world: World, call: Call) -> Page:
    """A list."""
    return lists.objects(world, call, "setup_intent", parents=("customer",))


ROUTES: Routes = {
    ("POST", "checkout/sessions"): create_checkout,
    ("GET", "checkout/sessions"): checkouts,
    ("GET", "checkout/sessions/*"): checkout,
    ("POST", "checkout/sessions/*/expire"): end_checkout,
    ("POST", "billing_portal/sessions"): create_portal,
    ("POST", "setup_intents"): create_intent,
    ("GET", "setup_intents"): intents,
    ("GET", "setup_intents/*"): intent,
    ("POST", "setup_intents/*/confirm"): confirm_intent,
}
