"""Disputes: opened by a magic card or by a control call, and closed by one."""

from __future__ import annotations

from outbox.simulators.stripe import lists
from outbox.simulators.stripe.errors import invalid
from outbox.simulators.stripe.store import Object, new_id
from outbox.simulators.stripe.world import Call, Page, Routes, World

_FEE = 1500
_DUE_S = 7 * 86_400
_OPEN = "needs_response"


def open_for(world: World, charge: Object, reason: str) -> Object:
    """The cardholder's bank takes a charge back for now."""
    at = world.now(charge)
    amount = charge["amount"] - charge["amount_refunded"]
    dispute = world.new(
        "dispute",
        "du",
        at,
        {
            "amount": amount,
            "balance_transactions": [_transaction(at, -amount, -_FEE)],
            "charge": charge["id"],
            "currency": charge["currency"],
            "enhanced_eligibility_types": [],
            "evidence": {},
            "evidence_details": {
                "due_by": at + _DUE_S,
                "enhanced_eligibility": {},
                "has_evidence": False,
                "past_due": False,
                "submission_count": 0,
            },
            "is_charge_refundable": False,
            "metadata": {},
            "payment_intent": charge["payment_intent"],
            "payment_method_details": {
                "card": {"brand": "visa", "case_type": "chargeback", "network_reason_code": "83"},
                "type": "card",
            },
            "reason": reason,
            "status": _OPEN,
        },
    )
    charge["disputed"] = True
    world.keep(charge)
    world.keep(dispute)
    _told(world, dispute, "charge.dispute.created")
    _told(world, dispute, "charge.dispute.funds_withdrawn")
    _record(world, dispute, charge, "dispute", amount)
    return dispute


def close(world: World, dispute: Object, *, won: bool) -> Object:
    """The bank has decided."""
    if dispute["status"] in {"won", "lost"}:
        raise invalid("dispute", "This dispute is already closed.")
    charge: Object = world.store.all("charge")[dispute["charge"]]
    dispute["status"] = "won" if won else "lost"
    if won:
        back = _transaction(world.now(charge), dispute["amount"], 0)
        dispute["balance_transactions"].append(back)
    world.keep(dispute)
    _told(world, dispute, "charge.dispute.closed")
    if won:
        _told(world, dispute, "charge.dispute.funds_reinstated")
        _record(world, dispute, charge, "dispute_won", dispute["amount"])
    return dispute


def warn(world: World, charge: Object) -> Object:
    """The issuer suspects fraud, before any dispute."""
    warning = world.new(
        "radar.early_fraud_warning",
        "issfr",
        world.now(charge),
        {
            "actionable": True,
            "charge": charge["id"],
            "fraud_type": "unauthorized_use_of_card",
            "payment_intent": charge["payment_intent"],
        },
    )
    world.keep(warning)
    _told(world, warning, "radar.early_fraud_warning.created")
    return warning


def _told(world: World, value: Object, kind: str) -> None:
    # By the clock of the charge's customer: a dispute names none.
    charge: Object = world.store.all("charge")[value["charge"]]
    world.events.make(
        kind,
        value,
        created=world.now(charge),
        at=world.clocks.account.now(),
        cause=world.cause,
    )


def _transaction(at: int, amount: int, fee: int) -> Object:
    return {
        "id": new_id("txn"),
        "object": "balance_transaction",
        "amount": amount,
        "created": at,
        "currency": "usd",
        "fee": -fee,
        "net": amount + fee,
        "type": "adjustment",
    }


def _record(world: World, dispute: Object, charge: Object, what: str, amount: int) -> None:
    world.record(
        dispute["id"] if what == "dispute" else f"{dispute['id']}:{what}",
        to=charge["customer"],
        reference=charge["id"],
        text={
            "what": what,
            "amount": amount,
            "currency": dispute["currency"],
            "at": world.now(charge),
        },
    )


def retrieve(world: World, call: Call) -> Object:
    """One dispute."""
    call.params.only()
    found: Object = world.need("dispute", call.id)
    return found


def find(world: World, call: Call) -> Page:
    """A list."""
    return lists.objects(
        world,
        call,
        "dispute",
        parents=("charge",),
        equal=("payment_intent",),
    )


def update(world: World, call: Call) -> Object:
    """Evidence, submitted at once."""
    params = call.params.only("evidence", "metadata", "submit", "intended_submission_method")
    dispute: Object = world.need("dispute", call.id)
    dispute["metadata"] = params.metadata(dispute["metadata"])
    dispute["evidence"] |= params.inner("evidence").values
    if params.boolean("submit", default=True) and dispute["status"] == _OPEN:
        dispute["status"] = "under_review"
    world.keep(dispute)
    _told(world, dispute, "charge.dispute.updated")
    return dispute


def accept(world: World, call: Call) -> Object:
    """Give up: it is lost."""
    call.params.only()
    return close(world, world.need("dispute", call.id), won=False)


def warning(world: World, call: Call) -> Object:
    """One early fraud warning."""
    call.params.only()
    found: Object = world.need("radar.early_fraud_warning", call.id)
    return found


def warnings(world: World, call: Call) -> Page:
    """A list."""
    equal = ("charge", "payment_intent")
    return lists.objects(world, call, "radar.early_fraud_warning", equal=equal)


ROUTES: Routes = {
    ("GET", "radar/early_fraud_warnings"): warnings,
    ("GET", "radar/early_fraud_warnings/*"): warning,
    ("GET", "disputes"): find,
    ("GET", "disputes/*"): retrieve,
    ("POST", "disputes/*"): update,
    ("POST", "disputes/*/close"): accept,
}
