"""What an event does is done once, also if nobody could say whose it was when it was heard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.integration.billing_world import World

from .billing_lives import forget, life, stripe_url

__all__ = ["life", "stripe_url"]

Json = dict[str, Any]

_NOTICE = "SELECT times FROM notice WHERE key LIKE 'billing:{}:%'"
_DONE: Mapping[str, tuple[str, object]] = {
    "payment_method.attached": ("SELECT attached FROM payment_method", True),
    "payment_method.automatically_updated": (
        "SELECT renewed_at IS NOT NULL FROM payment_method",
        True,
    ),
    "invoice.payment_failed": ("SELECT failed_at IS NOT NULL FROM invoice", True),
    "invoice.payment_action_required": (
        "SELECT action FROM invoice",
        "confirm",
    ),
    "invoice.finalization_failed": (_NOTICE.format("invoice_fault"), 1),
    "invoice_payment.paid": ("SELECT intent IS NOT NULL FROM invoice WHERE paid > 0", True),
    "radar.early_fraud_warning.created": (_NOTICE.format("warning"), 1),
    "refund.failed": (_NOTICE.format("refund_failed"), 1),
    "charge.dispute.created": (_NOTICE.format("dispute"), 1),
    "setup_intent.succeeded": (
        "SELECT count(*) FROM billing_event WHERE type = 'billing.card_saved'",
        1,
    ),
    "charge.dispute.closed": (
        "SELECT count(*) FROM billing_event WHERE type = 'billing.dispute_lost'",
        1,
    ),
    "customer.deleted": ("SELECT customer_gone_at IS NOT NULL FROM account", True),
}
"""By type of event: a query that shows what it does beyond being kept, and what it comes to."""


class _Stripe:
    """Stripe's objects of a paying account, and events about them."""

    def __init__(self, life: World) -> None:
        self._life = life
        self._number = 0

    async def _get(self, path: str) -> Json:
        answer = await self._life.sim.get(f"/v1/{path}")
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()
        return found["data"][0] if "data" in found else found

    async def read(self) -> dict[str, Json]:
        """What the events are about, none of which says our id."""
        ((customer,),) = self._life.relay.rows("SELECT customer FROM account")
        invoice = await self._get("invoices?status=paid&limit=1")
        charge = await self._get("charges")
        intent, method = charge["payment_intent"], charge["payment_method"]
        invoice = {**invoice, "parent": {"subscription_details": {}}}
        payment = {"type": "payment_intent", "payment_intent": intent}
        warning = await self._life.sim.post("/_sim/stripe/warnings", json={"charge": charge["id"]})
        assert warning.status_code == 200, warning.text
        refund = await self._life.sim.post(
            "/v1/refunds", data={"charge": charge["id"], "amount": "100"}
        )
        assert refund.status_code == 200, refund.text
        dispute = await self._life.sim.post("/_sim/stripe/disputes", json={"charge": charge["id"]})
        assert dispute.status_code == 200, dispute.text
        setup = await self._life.sim.post(
            "/v1/setup_intents",
            data={"customer": customer, "payment_method": method, "confirm": "true"},
        )
        assert setup.status_code == 200, setup.text
        unsettled = {**invoice, "status": "open", "amount_paid": 0}
        fault = {**unsettled, "last_finalization_error": {"code": "tax_unknown"}}
        card = await self._get(f"payment_methods/{method}")
        paid = {"object": "invoice_payment", "id": "inpay_1", "invoice": invoice["id"]}
        return {
            "payment_method.attached": card,
            "payment_method.automatically_updated": card,
            "invoice.payment_failed": unsettled,
            "invoice.payment_action_required": unsettled,
            "invoice.finalization_failed": fault,
            "invoice_payment.paid": {**paid, "status": "paid", "payment": payment},
            "radar.early_fraud_warning.created": warning.json(),
            "refund.failed": {**refund.json(), "status": "failed", "metadata": {}},
            "charge.dispute.created": dispute.json(),
            "setup_intent.succeeded": {**setup.json(), "metadata": {}},
            "charge.dispute.closed": {**dispute.json(), "status": "lost"},
            "customer.deleted": {"object": "customer", "id": customer, "deleted": True},
            "customer": await self._get(f"customers/{customer}"),
            "invoice": await self._get(f"invoices/{invoice['id']}"),
        }

    async def event(self, type_: str, about: Json, *, ago_s: int = 0) -> Json:
        """An event of just now, or a while ago."""
        self._number += 1
        newest = await self._get("events?limit=1")
        return {
            "id": f"evt_unowned_{self._number}",
            "object": "event",
            "api_version": newest["api_version"],
            "created": newest["created"] + self._number - ago_s,
            "type": type_,
            "data": {"object": about},
        }


async def _paying(life: World) -> None:
    await life.open()
    await life.work()
    made = await life.ask(
        life.sdk.payment_methods.create_async({"type": "card", "card": {"token": "tok_visa"}})
    )
    await life.say("payment_method_added", payment_method=made.id)
    await life.work()
    await life.days(31)
    assert await life.entitlement() == ("active", "paid")


async def test_what_an_event_of_nobody_does_is_done_once_its_account_is_known(life: World) -> None:
    await _paying(life)
    stripe = _Stripe(life)
    objects = await stripe.read()
    for type_, (query, wanted) in _DONE.items():
        forget(life)
        life.relay.rows("DELETE FROM notice RETURNING 1")
        one = await stripe.event(type_, objects[type_])
        await life.hear(one)
        found = "SELECT account, result FROM billing_event WHERE source_id LIKE %s ORDER BY account"
        known = [f"{one['id']}%"]
        heard = life.relay.rows(found, known)
        assert [account for account, _ in heard] == [""], type_
        assert wanted not in [value for (value,) in life.relay.rows(query)], type_
        await life.relay.to_the_end(within_s=600)
        # Later at the latest, something tells whose customer it is, and which payment.
        paid = await stripe.event("invoice_payment.paid", objects["invoice_payment.paid"])
        await life.hear(await stripe.event("customer.created", objects["customer"], ago_s=60))
        if not type_.startswith("invoice."):
            await life.hear(await stripe.event("invoice.updated", objects["invoice"]))
        if type_ != "invoice_payment.paid":
            await life.hear(paid)
        await life.relay.to_the_end(within_s=600)
        assert wanted in [value for (value,) in life.relay.rows(query)], type_
        accounts = [account for account, _ in life.relay.rows(found, known)]
        assert accounts == ["", "c_1"], type_
        assert life.relay.rows("SELECT id FROM billing_unowned WHERE id = %s", known) == [], type_
    assert life.relay.rows("SELECT wish FROM account") == [("ended",)]


async def test_whoever_is_told_of_while_stripe_is_asked_gets_what_waits(life: World) -> None:
    await life.open()
    await life.work()
    ((customer,),) = life.relay.rows("SELECT customer FROM account")
    forget(life)
    made = await life.ask(
        life.sdk.payment_methods.create_async({"type": "card", "card": {"token": "tok_visa"}})
    )
    told = (await life.sim.get(f"/v1/payment_methods/{made.id}")).json()
    assert told["customer"] is None
    gone = await _Stripe(life).event("payment_method.detached", told)
    gone["data"]["previous_attributes"] = {"customer": customer}
    await life.hear(gone)
    # By another relay, which cannot see yet what waits: the two were at it at the same moment.
    life.relay.rows("UPDATE account SET customer = %s RETURNING 1", [customer])
    assert life.relay.rows("SELECT attached FROM payment_method") == []
    await life.relay.to_the_end(within_s=600)
    assert life.relay.rows("SELECT id, attached FROM payment_method") == [(made.id, False)]
