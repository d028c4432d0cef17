"""Customers, with their credit balance."""

from __future__ import annotations

from outbox.simulators.stripe import lists, payment_methods, payments
from outbox.simulators.stripe.errors import invalid
from outbox.simulators.stripe.forms import Params
from outbox.simulators.stripe.store import Object, new_id
from outbox.simulators.stripe.world import Call, Page, Routes, World

_TEXTS = ("description", "email", "name", "phone", "business_name", "individual_name")
_FIELDS = (*_TEXTS, "metadata", "address", "shipping", "invoice_settings", "balance", "tax_exempt")
_OTHERS = ("preferred_locales", "tax", "validate", "source", "invoice_prefix")


def create(world: World, call: Call) -> Object:
    """A customer, on a test clock when one is named."""
    params = call.params.only(*_FIELDS, *_OTHERS, "payment_method", "test_clock")
    clock = params.text("test_clock")
    if clock is not None:
        world.need("test_helpers.test_clock", clock, param="test_clock")
    customer = world.new(
        "customer",
        "cus",
        world.clocks.of(clock).now(),
        {
            "address": None,
            "balance": 0,
            "business_name": None,
            "currency": None,
            "customer_account": None,
            "default_source": None,
            "delinquent": False,
            "description": None,
            "discount": None,
            "email": None,
            "individual_name": None,
            "invoice_prefix": new_id("x")[2:10].upper(),
            "invoice_settings": {
                "custom_fields": None,
                "default_payment_method": None,
                "footer": None,
                "rendering_options": None,
            },
            "metadata": {},
            "name": None,
            "next_invoice_sequence": 1,
            "phone": None,
            "preferred_locales": [],
            "shipping": None,
            "tax_exempt": "none",
            "test_clock": clock,
        },
    )
    _set(customer, params)
    world.keep(customer)
    default = params.inner("invoice_settings").text("default_payment_method")
    method = params.text("payment_method")
    try:
        if method is not None:
            payment_methods.attach_to(world, method, customer)
        if default is not None:
            attached = payment_methods.owned(world, default, customer, attach=True)
            customer["invoice_settings"]["default_payment_method"] = attached["id"]
    except Exception:
        world.store.drop("customer", [customer["id"]])
        raise
    world.keep(customer)
    world.emit("customer.created", customer)
    return customer


def retrieve(world: World, call: Call) -> Object:
    """One customer; of a deleted one only that."""
    call.params.only()
    customer: Object = world.need("customer", call.id)
    if customer.get("deleted"):
        return {"id": customer["id"], "object": "customer", "deleted": True}
    return customer


def update(world: World, call: Call) -> Object:
    """Change a customer."""
    params = call.params.only(*_FIELDS, *_OTHERS, "default_source", "next_invoice_sequence")
    customer = world.customer(call.id, param="id")
    settings = params.inner("invoice_settings")
    default: str | None = None
    if "default_payment_method" in settings:
        default = settings.text("default_payment_method")
        if default is not None:
            default = payment_methods.owned(world, default, customer)["id"]
    with world.changing("customer.updated", customer):
        _set(customer, params)
        if "default_payment_method" in settings:
            customer["invoice_settings"]["default_payment_method"] = default
    return customer


def delete(world: World, call: Call) -> Object:
    """Delete a customer; its subscriptions end at once."""
    from outbox.simulators.stripe import lives  # noqa: PLC0415 - they need customers, too

    call.params.only()
    customer = world.customer(call.id, param="id")
    for subscription in list(world.store.of("subscription", call.id)):
        if subscription["status"] not in lives.ENDED:
            lives.end(world, subscription)
    world.emit("customer.deleted", customer)
    customer["deleted"] = True
    world.keep(customer)
    return {"id": call.id, "object": "customer", "deleted": True}


def find(world: World, call: Call) -> Page:
    """A list."""
    return lists.objects(world, call, "customer", equal=("email", "test_clock"))


def search(world: World, call: Call) -> Page:
    """By metadata and other fields."""
    return lists.search(world, call, "customer")


def add_balance(world: World, call: Call) -> Object:
    """A credit (negative) or a debt of a customer, used by the next invoice."""
    params = call.params.only("amount", "currency", "description", "metadata")
    customer = world.customer(call.id, param="id")
    amount = params.integer("amount")
    if amount is None:
        raise invalid("amount", "Missing required param: amount.", "parameter_missing")
    return payments.balance(
        world,
        customer,
        amount,
        "adjustment",
        currency=params.needed("currency"),
        description=params.text("description"),
        metadata=params.metadata({}),
    )


def balances(world: World, call: Call) -> Page:
    """What changed a customer's balance."""
    call.params.only(*lists.PAGING)
    kind = "customer_balance_transaction"
    rows = world.store.of(kind, call.id)
    return lists.page(call, rows, lambda name: world.store.get(kind, name))


def methods(world: World, call: Call) -> Page:
    """A customer's payment methods."""
    call.params.only(*lists.PAGING, "type")
    world.customer(call.id, param="id")
    rows = world.store.of("payment_method", call.id)
    return lists.page(call, rows, lambda name: world.store.get("payment_method", name))


def _set(customer: Object, params: Params) -> None:
    for name in _TEXTS:
        if name in params:
            customer[name] = params.text(name)
    email = customer["email"]
    if email is not None and ("@" not in email or len(email) > 512):  # noqa: PLR2004 - its limit
        raise invalid("email", f"Invalid email address: {email}", "email_invalid")
    for name in ("address", "shipping"):
        if name in params:
            customer[name] = dict(params.inner(name).values) or None
    if "preferred_locales" in params:
        customer["preferred_locales"] = params.strings("preferred_locales")
    if "balance" in params:
        customer["balance"] = params.integer("balance") or 0
    if "metadata" in params:
        customer["metadata"] = params.metadata(customer["metadata"])


ROUTES: Routes = {
    ("POST", "customers"): create,
    ("GET", "customers"): find,
    ("GET", "customers/search"): search,
    ("GET", "customers/*"): retrieve,
    ("POST", "customers/*"): update,
    ("DELETE", "customers/*"): delete,
    ("POST", "customers/*/balance_transactions"): add_balance,
    ("GET", "customers/*/balance_transactions"): balances,
    ("GET", "customers/*/payment_methods"): methods,
}
