"""``expand[]``: ids become their objects, and fields that are shown only on demand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from outbox.simulators.stripe.errors import invalid
from outbox.simulators.stripe.store import Object
from outbox.simulators.stripe.world import World

_KINDS = {
    "cus": "customer",
    "sub": "subscription",
    "in": "invoice",
    "pm": "payment_method",
    "pi": "payment_intent",
    "ch": "charge",
    "re": "refund",
    "du": "dispute",
    "seti": "setup_intent",
    "price": "price",
    "prod": "product",
    "clock": "test_helpers.test_clock",
    "cbtxn": "customer_balance_transaction",
    "cn": "credit_note",
}


def listed(rows: Sequence[object], url: str) -> Object:
    """A list within an object."""
    return {"object": "list", "data": list(rows), "has_more": False, "url": url}


def _payments(world: World, invoice: Object) -> Object:
    rows = list(world.store.of("invoice_payment", invoice["id"]))
    return listed(rows, f"/v1/invoice_payments?invoice={invoice['id']}")


def _secret(world: World, invoice: Object) -> Object | None:
    payment = next(iter(world.store.of("invoice_payment", invoice["id"])), None)
    if payment is None or payment["payment"]["type"] != "payment_intent":
        return None
    intent = world.store.all("payment_intent")[payment["payment"]["payment_intent"]]
    return {"client_secret": intent["client_secret"], "type": "payment_intent"}


def _subscriptions(world: World, customer: Object) -> Object:
    rows = world.store.of("subscription", customer["id"])
    ended = {"canceled", "incomplete_expired"}
    shown = [row for row in rows if row["status"] not in ended]
    return listed(shown, f"/v1/customers/{customer['id']}/subscriptions")


def _refunds(world: World, charge: Object) -> Object:
    return listed(list(world.store.of("refund", charge["id"])), f"/v1/charges/{charge['id']}")


_ON_DEMAND: dict[tuple[str, str], Callable[[World, Object], Object | None]] = {
    ("invoice", "payments"): _payments,
    ("invoice", "confirmation_secret"): _secret,
    ("customer", "subscriptions"): _subscriptions,
    ("charge", "refunds"): _refunds,
}


def expanded(world: World, value: Object, paths: Sequence[str]) -> Object:
    """A copy of an object with what was asked for."""
    for path in paths:
        value = _along(world, value, path.split("."), path)
    return value


def _along(world: World, value: Any, steps: Sequence[str], path: str) -> Any:  # noqa: ANN401 - JSON
    if not steps or value is None:
        return value
    if isinstance(value, list):
        return [_along(world, one, steps, path) for one in value]
    if isinstance(value, str):
        kind = _KINDS.get(value.partition("_")[0])
        found = world.store.get(kind, value) if kind else None
        if found is None:
            message = f"This property cannot be expanded ({path})."
            raise invalid("expand", message)
        return _along(world, found, steps, path)
    name, rest = steps[0], steps[1:]
    inner = value.get(name)
    if inner is None:
        make = _ON_DEMAND.get((value.get("object", ""), name))
        inner = make(world, value) if make is not None else None
        if make is None and name not in value:
            raise invalid("expand", f"This property cannot be expanded ({path}).")
    if isinstance(inner, str) and not rest:
        kind = _KINDS.get(inner.partition("_")[0])
        inner = (world.store.get(kind, inner) if kind else None) or inner
    else:
        inner = _along(world, inner, rest, path)
    return {**value, name: inner}
