"""What the API does with invoices and with the items that wait for them."""

from __future__ import annotations

from outbox.simulators.stripe import (
    collection,
    invoice_shape,
    invoices,
    lists,
    payment_methods,
    previews,
)
from outbox.simulators.stripe.errors import Refusal, invalid
from outbox.simulators.stripe.store import Object
from outbox.simulators.stripe.world import Call, Page, Routes, World

_KIND = "invoice"
_STATUSES = ("draft", "open", "paid", "uncollectible", "void")


def retrieve(world: World, call: Call) -> Object:
    """One invoice."""
    call.params.only()
    found: Object = world.need(_KIND, call.id)
    return found


def find(world: World, call: Call) -> Page:
    """A list."""
    subscription = call.params.text("subscription")
    status = call.params.choice("status", _STATUSES, "") if "status" in call.params else None
    if subscription is not None and "customer" not in call.params:
        owner = world.need("subscription", subscription, param="subscription")["customer"]
        call.params.values = {**call.params.values, "customer": owner}
    return lists.objects(
        world,
        call,
        _KIND,
        parents=("customer",),
        equal=("collection_method",),
        more=("subscription", "status"),
        accept=lambda row: (
            (status is None or row["status"] == status)
            and (subscription is None or _of(row) == subscription)
        ),
    )


def _of(invoice: Object) -> str | None:
    parent = invoice["parent"]
    return None if parent is None else str(parent["subscription_details"]["subscription"])


def search(world: World, call: Call) -> Page:
    """By metadata and other fields."""
    return lists.search(world, call, _KIND)


def lines(world: World, call: Call) -> Page:
    """The lines of one invoice."""
    call.params.only(*lists.PAGING)
    data = {line["id"]: line for line in world.need(_KIND, call.id)["lines"]["data"]}
    return lists.page(call, data.values(), data.get)


def update(world: World, call: Call) -> Object:
    """Change what may change."""
    params = call.params.only("auto_advance", "metadata", "description", "default_payment_method")
    invoice: Object = world.need(_KIND, call.id)
    method = params.text("default_payment_method")
    if method is not None:
        customer = world.customer(invoice["customer"])
        method = payment_methods.owned(world, method, customer)["id"]
    with world.changing("invoice.updated", invoice):
        invoice["metadata"] = params.metadata(invoice["metadata"])
        invoice["description"] = params.text("description", invoice["description"])
        invoice["default_payment_method"] = method or invoice["default_payment_method"]
        if "auto_advance" in params:
            _advance(world, invoice, on=params.boolean("auto_advance"))
    invoices.schedule(world, invoice)
    return invoice


def _advance(world: World, invoice: Object, *, on: bool) -> None:
    invoice["auto_advance"] = on
    soon = world.now(invoice) + invoice_shape.FINALIZED_AFTER_S
    if invoice["status"] == "draft":
        invoice["automatically_finalizes_at"] = soon if on else None
    if invoice["status"] in {"draft", "open"}:
        invoice["next_payment_attempt"] = soon if on else None


def pay(world: World, call: Call) -> Object:
    """Try now, outside of the schedule."""
    params = call.params.only("payment_method", "paid_out_of_band", "off_session", "forgive")
    invoice = _payable(world, call)
    if params.boolean("paid_out_of_band"):
        collection.settle(world, invoice)
        return invoice
    name, method = params.text("payment_method"), None
    if name is not None:
        customer = world.customer(invoice["customer"])
        method = payment_methods.owned(world, name, customer, param="payment_method")
    refusal = collection.collect(world, invoice, method=method, automatic=False)
    if refusal is not None:
        raise refusal
    return invoice


def _payable(world: World, call: Call) -> Object:
    invoice: Object = world.need(_KIND, call.id)
    if invoice["status"] == "paid":
        message = "Invoice is already paid"
        raise Refusal(message)
    if invoice["status"] == "void":
        message = "This invoice was voided and cannot be paid."
        raise Refusal(message, code="invoice_not_editable")
    return invoice


def finalize(world: World, call: Call) -> Object:
    """Open a draft."""
    params = call.params.only("auto_advance")
    invoice = _draft(world, call)
    if "auto_advance" in params:
        invoice["auto_advance"] = params.boolean("auto_advance")
    invoices.finalize(world, invoice)
    if not invoice["amount_due"]:
        collection.collect(world, invoice)
    invoices.schedule(world, invoice)
    return invoice


def _draft(world: World, call: Call) -> Object:
    invoice: Object = world.need(_KIND, call.id)
    if invoice["status"] != "draft":
        message = "This invoice is already finalized, you can't change it any more."
        raise Refusal(message, code="invoice_not_editable")
    return invoice


def void(world: World, call: Call) -> Object:
    """As if it had never been."""
    call.params.only()
    invoice = _open(world, call)
    invoices.void(world, invoice)
    return invoice


def write_off(world: World, call: Call) -> Object:
    """It will not be paid; a subscription that waits for it goes on."""
    call.params.only()
    invoice = _open(world, call)
    invoices.write_off(world, invoice)
    collection.forgiven(world, invoice)
    return invoice


def _open(world: World, call: Call) -> Object:
    invoice: Object = world.need(_KIND, call.id)
    if invoice["status"] not in {"open", "uncollectible"}:
        message = f"You can only do this with an open invoice, not a {invoice['status']} one."
        raise Refusal(message, code="invoice_not_editable")
    return invoice


def delete(world: World, call: Call) -> Object:
    """Forget a draft."""
    call.params.only()
    invoice = _draft(world, call)
    world.emit("invoice.deleted", invoice)
    world.store.drop(_KIND, [call.id])
    return {"id": call.id, "object": _KIND, "deleted": True}


def preview(world: World, call: Call) -> Object:
    """What an invoice would be; nothing is kept."""
    return previews.preview(world, call)


def items(world: World, call: Call) -> Page:
    """Invoice items."""
    waiting = call.params.boolean("pending") if "pending" in call.params else None
    return lists.objects(
        world,
        call,
        "invoiceitem",
        parents=("customer",),
        equal=("invoice",),
        more=("pending",),
        times=(),
        accept=lambda row: waiting is None or (row["invoice"] is None) == waiting,
    )


def drop_item(world: World, call: Call) -> Object:
    """Forget an item that waits."""
    call.params.only()
    item: Object = world.need("invoiceitem", call.id)
    if item["invoice"] is not None:
        raise invalid("invoiceitem", "This invoice item is already part of an invoice.")
    world.store.drop("invoiceitem", [call.id])
    world.emit("invoiceitem.deleted", item)
    return {"id": call.id, "object": "invoiceitem", "deleted": True}


ROUTES: Routes = {
    ("GET", "invoices"): find,
    ("GET", "invoices/search"): search,
    ("POST", "invoices/create_preview"): preview,
    ("GET", "invoices/*"): retrieve,
    ("POST", "invoices/*"): update,
    ("DELETE", "invoices/*"): delete,
    ("GET", "invoices/*/lines"): lines,
    ("POST", "invoices/*/pay"): pay,
    ("POST", "invoices/*/finalize"): finalize,
    ("POST", "invoices/*/void"): void,
    ("POST", "invoices/*/mark_uncollectible"): write_off,
    ("GET", "invoiceitems"): items,
    ("DELETE", "invoiceitems/*"): drop_item,
}
