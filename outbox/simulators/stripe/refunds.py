"""Refunds, and credit notes that refund or credit a part of an invoice."""

from __future__ import annotations

from outbox.simulators.stripe import lists, payment_methods, payments
from outbox.simulators.stripe.errors import Refusal, invalid, required
from outbox.simulators.stripe.expand import listed
from outbox.simulators.stripe.forms import Params
from outbox.simulators.stripe.store import Object
from outbox.simulators.stripe.world import Call, Page, Routes, World

_SETTLES_AFTER_S = 3600
_REASONS = ("duplicate", "fraudulent", "requested_by_customer")


def create(world: World, call: Call) -> Object:
    """Give back a charge, or a part of it."""
    params = call.params.only("charge", "payment_intent", "amount", "metadata", "reason")
    charge = _charge(world, params)
    reason = params.text("reason")
    if reason not in {None, *_REASONS}:
        raise invalid("reason", f"Invalid reason: {reason}")
    amount = params.integer("amount", least=1)
    return refund(world, charge, amount, reason=reason, metadata=params.metadata({}))


def _charge(world: World, params: Params) -> Object:
    name, intent = params.text("charge"), params.text("payment_intent")
    if name is None and intent is not None:
        name = world.need("payment_intent", intent, param="payment_intent")["latest_charge"]
        if name is None:
            message = f"This PaymentIntent ({intent}) does not have a successful charge to refund."
            raise Refusal(message, code="payment_intent_unexpected_state")
    if name is None:
        raise required("charge")
    found: Object = world.need("charge", name, param="charge")
    return found


def refund(
    world: World,
    charge: Object,
    amount: int | None,
    *,
    reason: str | None,
    metadata: dict[str, str],
) -> Object:
    """Give back, the whole rest when no amount is named; raises `Refusal`."""
    rest = charge["amount_captured"] - charge["amount_refunded"]
    if not charge["paid"]:
        message = f"Charge {charge['id']} failed and cannot be refunded."
        raise Refusal(message)
    if charge["disputed"]:
        message = f"Charge {charge['id']} has been charged back; cannot issue a refund."
        raise Refusal(message, code="charge_disputed")
    if not rest:
        message = f"Charge {charge['id']} has already been refunded."
        raise Refusal(message, code="charge_already_refunded")
    wanted = rest if amount is None else amount
    if wanted > rest:
        message = f"Refund amount ({wanted}) is greater than unrefunded amount on charge ({rest})."
        raise Refusal(message, param="amount")
    status = payment_methods.card_of(world, charge["payment_method"]).refund
    made = world.new(
        "refund",
        "re",
        world.now(charge),
        {
            "amount": wanted,
            "balance_transaction": None,
            "charge": charge["id"],
            "currency": charge["currency"],
            "customer": charge["customer"],
            "customer_account": None,
            "destination_details": {"card": {"type": "refund"}, "type": "card"},
            "metadata": metadata,
            "payment_intent": charge["payment_intent"],
            "payment_method": charge["payment_method"],
            "reason": reason,
            "receipt_number": None,
            "source_transfer_reversal": None,
            # A failing one looks good at first.
            "status": "pending" if status == "pending" else "succeeded",
            "transfer_reversal": None,
        },
    )
    del made["livemode"]
    charge["amount_refunded"] += wanted
    charge["refunded"] = charge["amount_refunded"] == charge["amount_captured"]
    world.keep(charge)
    world.keep(made)
    world.emit("refund.created", made)
    world.emit("charge.refunded", charge, {"amount_refunded": charge["amount_refunded"] - wanted})
    _record(world, made, "refund", made["id"])
    schedule(world, made)
    return made


def schedule(world: World, made: Object) -> None:
    """Some refunds are decided later."""
    status = payment_methods.card_of(world, made["payment_method"]).refund
    if status != "succeeded" and "decided" not in world.facts(made["id"]):
        at = made["created"] + _SETTLES_AFTER_S
        world.clock(made).call(at, "refund", made["id"])


def step(world: World, made: Object) -> None:
    """What is decided later."""
    world.know(made["id"], decided=True)
    failed = payment_methods.card_of(world, made["payment_method"]).refund == "failed"
    made["status"] = "failed" if failed else "succeeded"
    if failed:
        made["failure_reason"] = "expired_or_canceled_card"
        charge: Object = world.store.all("charge")[made["charge"]]
        charge["amount_refunded"] -= made["amount"]
        charge["refunded"] = False
        world.keep(charge)
        _record(world, made, "refund_failed", f"{made['id']}:failed")
    world.keep(made)
    world.emit("refund.updated", made)
    world.emit("charge.refund.updated", made)
    if failed:
        world.emit("refund.failed", made)


def _record(world: World, made: Object, what: str, name: str) -> None:
    world.record(
        name,
        to=made["customer"],
        reference=made["charge"],
        text={
            "what": what,
            "amount": made["amount"],
            "currency": made["currency"],
            "at": world.now(made),
        },
    )


def retrieve(world: World, call: Call) -> Object:
    """One refund."""
    call.params.only()
    found: Object = world.need("refund", call.id)
    return found


def find(world: World, call: Call) -> Page:
    """A list."""
    return lists.objects(
        world,
        call,
        "refund",
        parents=("charge", "payment_intent"),
    )


def create_note(world: World, call: Call) -> Object:
    """Take a part of an invoice back: by refund, by credit, or less to be paid."""
    params = call.params.only(
        *("invoice", "amount", "refund_amount", "credit_amount", "out_of_band_amount", "memo"),
        *("metadata", "reason", "email_type", "effective_at"),
    )
    invoice: Object = world.need("invoice", params.needed("invoice"), param="invoice")
    amount = params.integer("amount", least=1)
    if amount is None:
        raise required("amount")
    if invoice["status"] not in {"open", "paid"}:
        message = "You can only create a credit note for an open or a paid invoice."
        raise Refusal(message)
    noted = invoice["pre_payment_credit_notes_amount"] + invoice["post_payment_credit_notes_amount"]
    if amount > invoice["total"] - noted:
        message = "The credit note amount is greater than what is left of the invoice."
        raise invalid("amount", message)
    back, credit = params.integer("refund_amount") or 0, params.integer("credit_amount") or 0
    outside = params.integer("out_of_band_amount") or 0
    paid = invoice["status"] == "paid"
    if paid and back + credit + outside != amount:
        message = (
            "The sum of credit amount, refund amount and out of band amount must equal the credit"
            f" note amount ({amount})."
        )
        raise Refusal(message)
    made = _note(world, invoice, amount, params, paid=paid)
    if paid:
        _give_back(world, invoice, made, back=back, credit=credit)
        invoice["post_payment_credit_notes_amount"] += amount
    else:
        _lower(world, invoice, amount)
    world.keep(invoice)
    world.keep(made)
    world.emit("credit_note.created", made)
    return made


def _give_back(world: World, invoice: Object, made: Object, *, back: int, credit: int) -> None:
    if back:
        payment = payments.payment_of(world, invoice)
        if payment is None:
            message = "This invoice has no payment that could be refunded."
            raise invalid("refund_amount", message)
        intent = world.store.all("payment_intent")[payment["payment"]["payment_intent"]]
        charge = world.store.all("charge")[intent["latest_charge"]]
        given = refund(world, charge, back, reason=None, metadata={})
        made["refunds"] = [{"amount_refunded": back, "refund": given["id"], "type": "refund"}]
    if credit:
        transaction = payments.balance(
            world,
            world.store.all("customer")[invoice["customer"]],
            -credit,
            "credit_note",
            currency=invoice["currency"],
            invoice=invoice["id"],
            credit_note=made["id"],
        )
        made["customer_balance_transaction"] = transaction["id"]


def _lower(world: World, invoice: Object, amount: int) -> None:
    """Less is to be paid; nothing at all pays it."""
    from outbox.simulators.stripe import collection  # noqa: PLC0415 - only in this case

    invoice["pre_payment_credit_notes_amount"] += amount
    rest = max(invoice["amount_remaining"] - amount, 0)
    invoice |= {"amount_due": rest, "amount_remaining": rest}
    payment = payments.payment_of(world, invoice)
    if payment is not None and rest:
        payment["amount_requested"] = rest
        intent = world.store.all("payment_intent")[payment["payment"]["payment_intent"]]
        intent["amount"] = rest
        world.keep(payment)
        world.keep(intent)
    if not rest:
        payments.cancel(world, invoice)
        collection.collect(world, invoice)


def _note(world: World, invoice: Object, amount: int, params: Params, *, paid: bool) -> Object:
    count = sum(1 for _ in world.store.of("credit_note", invoice["id"]))
    made = world.new(
        "credit_note",
        "cn",
        world.now(invoice),
        {
            "amount": amount,
            "amount_shipping": 0,
            "currency": invoice["currency"],
            "customer": invoice["customer"],
            "customer_account": None,
            "customer_balance_transaction": None,
            "discount_amount": 0,
            "discount_amounts": [],
            "effective_at": world.now(invoice),
            "invoice": invoice["id"],
            "memo": params.text("memo"),
            "metadata": params.metadata({}),
            "number": f"{invoice['number']}-CN-{count + 1:02}",
            "out_of_band_amount": params.integer("out_of_band_amount"),
            "pdf": f"{invoice['invoice_pdf']}/{count + 1}",
            "post_payment_amount": amount if paid else 0,
            "pre_payment_amount": 0 if paid else amount,
            "pretax_credit_amounts": [],
            "reason": params.text("reason"),
            "refunds": [],
            "shipping_cost": None,
            "status": "issued",
            "subtotal": amount,
            "subtotal_excluding_tax": amount,
            "total": amount,
            "total_excluding_tax": amount,
            "total_taxes": [],
            "type": "post_payment" if paid else "pre_payment",
            "voided_at": None,
        },
    )
    made["lines"] = listed([], f"/v1/credit_notes/{made['id']}/lines")
    return made


def note(world: World, call: Call) -> Object:
    """One credit note."""
    call.params.only()
    found: Object = world.need("credit_note", call.id)
    return found


def notes(world: World, call: Call) -> Page:
    """A list."""
    return lists.objects(world, call, "credit_note", parents=("invoice", "customer"))


ROUTES: Routes = {
    ("POST", "refunds"): create,
    ("GET", "refunds"): find,
    ("GET", "refunds/*"): retrieve,
    ("POST", "credit_notes"): create_note,
    ("GET", "credit_notes"): notes,
    ("GET", "credit_notes/*"): note,
}
