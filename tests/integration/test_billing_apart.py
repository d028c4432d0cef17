"""Alerts of accounts that do not pay are delivered exactly as those of accounts that do."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from tests.integration.billing_world import World

from .billing_lives import life, stripe_url
from .conftest import missed
from .relay_fakes import said

__all__ = ["life", "stripe_url"]

_STATES = ("paying", "trialing", "past_due", "lapsed", "disputed", "deleted", "nobody")


async def _in_state(life: World, account: str) -> None:
    """Bring an account into a state, by rows: how it got there is no matter."""
    if account == "nobody":
        return
    await life.open(account)
    status = {"past_due": "past_due", "lapsed": "paused", "trialing": "trialing"}
    life.relay.rows(
        "INSERT INTO subscription (shard, id, account, customer, status, cancel_at_period_end,"
        " collection_paused, created_at) SELECT shard, %s, id, 'cus_1', %s, false, false, now()"
        " FROM account WHERE id = %s RETURNING 1",
        (f"sub_{account}", status.get(account, "active"), account),
    )
    if account == "disputed":
        life.relay.rows(
            "INSERT INTO reversal (shard, id, account, kind, status, amount, currency, created_at)"
            " SELECT shard, 'dp_1', id, 'dispute', 'lost', 299, 'usd', now() FROM account"
            " WHERE id = %s RETURNING 1",
            (account,),
        )
    if account == "deleted":
        life.relay.rows(
            "UPDATE account SET customer = 'cus_1', customer_gone_at = now() WHERE id = %s"
            " RETURNING 1",
            (account,),
        )


async def test_an_alert_does_not_ask_who_pays(life: World) -> None:
    told: dict[str, list[Any]] = {}
    for number, account in enumerate(_STATES):
        await _in_state(life, account)
        contact = {"id": account, "name": "Bob", "phone": f"+1202555{number:04d}"}
        alert = missed(contact, subject=f"m_{number}")
        alert["data"]["member"] = {**alert["data"]["member"], "id": f"m_{number}"}
        answer = await life.api.post("/v1/events", json=alert)
        assert answer.status_code == 202, answer.text
        notification = UUID(answer.json()["notifications"][0]["id"])
        await life.relay.work()
        (text,) = life.relay.twilio.texts_of(notification)
        row = life.relay.rows(
            "SELECT n.kind, n.lane, n.state, d.work, d.step FROM notification n"
            " JOIN due d ON d.notification = n.id WHERE n.id = %s",
            (notification,),
        )
        told[account] = [text.sms.body.split(" Ref ")[0], row]
        # Not with this text: the next steps are taken for everybody alike, to the end.
        await life.relay.hear(said(text, "undelivered", "30005"))
        await life.relay.work()
        again = life.relay.twilio.texts_of(notification)
        await life.relay.hear(said(again[-1], "delivered"))
        story = (await life.api.get(f"/v1/notifications/{notification}")).json()
        told[account] += [
            len(again),
            [(each["what"], each["channel"], each["outcome"]) for each in story["timeline"]],
            [story[name] for name in ("state", "reason", "proof", "step", "attempts", "plan")],
        ]
        assert story["state"] == "delivered"
    assert len(told) == len(_STATES)
    assert all(each == told["paying"] for each in told.values())
