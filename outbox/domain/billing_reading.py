"""Reads Stripe's objects, in the shapes of the pinned version, into what is kept of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from outbox.domain.billing_objects import (
    Customer,
    Invoice,
    Json,
    Kept,
    PaymentMethod,
    Reversal,
    Subscription,
    moment,
    name_of,
)


class MalformedObjectError(ValueError):
    """An object that is not in Stripe's shape; says which kind, and nothing of its content."""


def read(value: Json) -> Kept | None:
    """What is kept of an object; null for a kind of which nothing is.

    Raises `MalformedObjectError`.
    """
    kind = value.get("object")
    reader = _READERS.get(str(kind))
    if reader is None:
        return None
    try:
        kept = reader(value)
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError):
        pass
    else:
        return kept
    # Outside of the handler: an error's text would quote what it met.
    msg = f"a {kind} of another shape"
    raise MalformedObjectError(msg)


def _at(value: object) -> datetime:
    found = moment(value)
    if found is None:
        raise TypeError
    return found


def _subscription(value: Json) -> Subscription:
    item = value["items"]["data"][0]
    status = str(value["status"])
    canceled, ended = moment(value.get("canceled_at")), moment(value.get("ended_at"))
    if status in {"canceled", "incomplete_expired"} and ended is None:
        ended = canceled or _at(value["created"])
    return Subscription(
        id=str(value["id"]),
        customer=name_of(value["customer"]) or "",
        status=status,
        price=name_of(item.get("price")),
        trial_end=moment(value.get("trial_end")),
        period_start=moment(item.get("current_period_start")),
        period_end=moment(item.get("current_period_end")),
        cancel_at_period_end=bool(value.get("cancel_at_period_end")),
        collection_paused=value.get("pause_collection") is not None,
        canceled_at=canceled,
        ended_at=ended,
        end_reason=(value.get("cancellation_details") or {}).get("reason"),
        latest_invoice=name_of(value.get("latest_invoice")),
        default_method=name_of(value.get("default_payment_method")),
        created_at=_at(value["created"]),
    )


def _invoice(value: Json) -> Invoice:
    parent = value.get("parent") or {}
    details = parent.get("subscription_details") or {}
    times = value.get("status_transitions") or {}
    lines = (value.get("lines") or {}).get("data") or []
    ends = [line["period"] for line in lines if line.get("period")]
    return Invoice(
        id=str(value["id"]),
        subscription=name_of(details.get("subscription")),
        status=str(value.get("status") or "deleted"),
        reason=value.get("billing_reason"),
        currency=str(value["currency"]),
        due=int(value["amount_due"]),
        untaxed=value.get("total_excluding_tax"),
        paid=int(value["amount_paid"]),
        remaining=int(value["amount_remaining"]),
        attempts=int(value.get("attempt_count") or 0),
        next_attempt_at=moment(value.get("next_payment_attempt")),
        # The invoice's own period is the one before; what is paid for stands on its lines.
        period_start=moment(min((each["start"] for each in ends), default=None)),
        period_end=moment(max((each["end"] for each in ends), default=None)),
        link=value.get("hosted_invoice_url"),
        finalized_at=moment(times.get("finalized_at")),
        paid_at=moment(times.get("paid_at")),
        created_at=_at(value["created"]),
    )


def _payment_method(value: Json) -> PaymentMethod:
    card = value.get("card") or {}
    expires = None
    if card.get("exp_year") and card.get("exp_month"):
        year, month = int(card["exp_year"]), int(card["exp_month"])
        expires = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
    return PaymentMethod(
        id=str(value["id"]),
        type=str(value["type"]),
        expires_at=expires,
        attached=value.get("customer") is not None,
        created_at=_at(value["created"]),
    )


def _customer(value: Json) -> Customer:
    settings = value.get("invoice_settings") or {}
    return Customer(
        id=str(value["id"]),
        default_method=name_of(settings.get("default_payment_method")),
        credit=-int(value.get("balance") or 0),
        deleted=bool(value.get("deleted")),
    )


def _refund(value: Json) -> Reversal:
    return Reversal(
        id=str(value["id"]),
        kind="refund",
        status=str(value.get("status") or "unknown"),
        amount=int(value["amount"]),
        currency=str(value["currency"]),
        reason=value.get("failure_reason") or value.get("reason"),
        intent=name_of(value.get("payment_intent")),
        evidence_by=None,
        withdrawn=None,
        created_at=_at(value["created"]),
    )


def _dispute(value: Json) -> Reversal:
    moves = value.get("balance_transactions") or []
    taken = [-int(move["amount"]) for move in moves if isinstance(move, Mapping)]
    return Reversal(
        id=str(value["id"]),
        kind="dispute",
        status=str(value["status"]),
        amount=int(value["amount"]),
        currency=str(value["currency"]),
        reason=value.get("reason"),
        intent=name_of(value.get("payment_intent")),
        evidence_by=moment((value.get("evidence_details") or {}).get("due_by")),
        withdrawn=sum(taken) if taken else None,
        created_at=_at(value["created"]),
    )


def _warning(value: Json) -> Reversal:
    return Reversal(
        id=str(value["id"]),
        kind="warning",
        status="actionable" if value.get("actionable") else "past",
        amount=0,
        currency="usd",
        reason=value.get("fraud_type"),
        intent=name_of(value.get("payment_intent")),
        evidence_by=None,
        withdrawn=None,
        created_at=_at(value["created"]),
    )


def _charge(value: Json) -> Reversal:
    # Cumulative, whatever number of refunds it is made of.
    return Reversal(
        id=str(value["id"]),
        kind="charge",
        status="refunded" if value.get("refunded") else "in_part",
        amount=int(value.get("amount_refunded") or 0),
        currency=str(value["currency"]),
        reason=None,
        intent=name_of(value.get("payment_intent")),
        evidence_by=None,
        withdrawn=None,
        created_at=_at(value["created"]),
    )


_READERS: dict[str, Callable[[Json], Kept]] = {
    "charge": _charge,
    "subscription": _subscription,
    "invoice": _invoice,
    "payment_method": _payment_method,
    "customer": _customer,
    "refund": _refund,
    "dispute": _dispute,
    "radar.early_fraud_warning": _warning,
}


def payment_of(value: Json) -> tuple[str | None, str | None]:
    """Of an invoice that came with its payments: which settled it, and why the newest failed."""
    settled: str | None = None
    failure: str | None = None
    for entry in (value.get("payments") or {}).get("data") or []:
        intent = (entry.get("payment") or {}).get("payment_intent")
        if entry.get("status") == "paid":
            settled = settled or name_of(intent)
        error = intent.get("last_payment_error") if isinstance(intent, Mapping) else None
        if isinstance(error, Mapping) and failure is None:
            failure = error.get("decline_code") or error.get("code")
    return settled, failure
