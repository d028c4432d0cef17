"""Commands under faults: nothing is done twice, nothing is given up in silence."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import httpx
import pytest

from outbox.domain.states import Lane
from tests.integration.billing_world import World

from .billing_lives import life, stripe_url

__all__ = ["life", "stripe_url"]


async def _fault(life: World, **fault: object) -> None:
    answer = await life.sim.post("/_sim/faults", json={"provider": "stripe", **fault})
    assert answer.status_code < 300, answer.text


async def _once(life: World) -> None:
    """One claim of whatever is due, called and settled."""
    for assignment in await life.relay.claim(int(Lane.TRANSACTIONAL)):
        await life.relay.settle(await life.relay.call(assignment))


async def _made(life: World) -> tuple[int, int]:
    """Customers and subscriptions that Stripe has."""
    customers = await life.ask(life.sdk.customers.list_async({"limit": 100}))
    subscriptions = await life.ask(life.sdk.subscriptions.list_async({"limit": 100}))
    return len(customers.data), len(subscriptions.data)


def _results(life: World, command: UUID) -> list[tuple[str, str | None]]:
    return [(row[3], row[4]) for row in life.relay.attempts(command) if row[1] == "send"]


async def _overtaken(life: World, when: str) -> None:
    """A cancellation whose answer comes after our row has changed by something else."""
    await life.open()
    await life.work()
    await life.say("subscription_cancelled", when=when)
    (assignment,) = await life.relay.claim(int(Lane.TRANSACTIONAL))
    settlement = await life.relay.call(assignment)
    life.relay.rows("UPDATE subscription SET changed_at = now() RETURNING id")
    await life.relay.settle(settlement)


def _kept(life: World) -> list[tuple[Any, ...]]:
    return life.relay.rows("SELECT status, cancel_at_period_end FROM subscription")


def _looks(life: World) -> list[tuple[Any, ...]]:
    return life.relay.rows("SELECT state FROM notification WHERE kind = 'billing.look'")


async def test_an_end_that_stripe_answers_counts_whatever_came_between(life: World) -> None:
    await _overtaken(life, "now")
    assert _kept(life) == [("canceled", False)]
    assert _looks(life) == []


async def test_an_answer_that_was_overtaken_is_asked_for_again(life: World) -> None:
    await _overtaken(life, "period_end")
    # Nobody can tell which is newer: Stripe is asked, though no event may ever come.
    assert _kept(life) == [("trialing", False)]
    assert _looks(life) == [("open",)]
    await life.work()
    assert _kept(life) == [("trialing", True)]
    assert _looks(life) == [("delivered",)]


async def test_a_lost_answer_is_asked_for_with_the_same_key(life: World) -> None:
    command = await life.open()
    # The customer comes with the same key again; the trial is found at the customer.
    for change, times in (("create_customer", 2), ("start_trial", 1)):
        life.line.loses = True
        await _once(life)
        assert _results(life, command)[-1] == ("outcome_unknown", "closed")
        life.line.loses = False
        life.relay.calm()
        await life.relay.skip(130)
        await _once(life)
        assert life.line.changes == [f"{command}:{change}"] * times
        life.line.changes.clear()
    await life.work()
    assert await _made(life) == (1, 1)
    assert life.relay.state(command) == ("delivered", None)
    assert await life.entitlement() == ("trialing", "trial")


async def test_a_relay_that_dies_with_a_call_is_followed_by_another(life: World) -> None:
    command = await life.open()
    for _ in range(2):
        (assignment,) = await life.relay.claim(int(Lane.TRANSACTIONAL))
        await life.relay.call(assignment)
        # Never settled: the lease runs out.
        await life.relay.skip(60)
        await _once(life)
    await life.work()
    assert await _made(life) == (1, 1)
    assert life.relay.state(command) == ("delivered", None)


async def test_what_was_paid_goes_back_once_though_relays_die_with_the_answers(life: World) -> None:
    await life.open()
    await life.work()
    made = await life.ask(
        life.sdk.payment_methods.create_async({"type": "card", "card": {"token": "tok_visa"}})
    )
    await life.say("payment_method_added", payment_method=made.id)
    await life.work()
    await life.days(31)
    command = await life.say("role_changed", account={"id": "c_1", "role": "member"})
    # It is ended, and what was paid becomes credit; that goes back; it is no credit any more.
    for _ in range(3):
        (assignment,) = await life.relay.claim(int(Lane.TRANSACTIONAL))
        await life.relay.call(assignment)
        # Never settled: the lease runs out.
        await life.relay.skip(60)
    assert life.line.changes[-3:] == [
        f"{command}:{change}" for change in ("end_now", "refund", "clear_credit")
    ]
    await life.work()
    (refund,) = (await life.ask(life.sdk.refunds.list_async({"limit": 100}))).data
    ((paid,),) = life.relay.rows("SELECT paid FROM invoice WHERE paid > 0")
    assert 0.9 * paid < refund.amount <= paid
    assert life.relay.rows("SELECT credit FROM account") == [(0,)]
    assert life.relay.state(command) == ("delivered", None)


async def test_what_was_paid_goes_back_once_though_its_webhook_and_the_relay_are_lost(
    life: World,
) -> None:
    await life.open()
    await life.work()
    made = await life.ask(
        life.sdk.payment_methods.create_async({"type": "card", "card": {"token": "tok_visa"}})
    )
    await life.say("payment_method_added", payment_method=made.id)
    await life.work()
    # It is charged; what Stripe tells of it is on its way for days.
    for _ in range(3):
        answer = await life.sim.post("/_sim/clock", json={"advance_s": 10 * 86_400 + 7_200})
        assert answer.status_code == httpx.codes.OK, answer.text
    command = await life.say("role_changed", account={"id": "c_1", "role": "member"})
    (assignment,) = await life.relay.claim(int(Lane.TRANSACTIONAL))
    await life.relay.call(assignment)
    # It has ended, and by now another invoice is the newest one: of the relay nothing is settled.
    await life.relay.skip(60)
    assert life.relay.rows("SELECT id FROM invoice WHERE paid > 0") == []
    await life.relay.to_the_end(within_s=600)
    refunds = (await life.ask(life.sdk.refunds.list_async({"limit": 100}))).data
    assert [0.9 * 299 < each.amount <= 299 for each in refunds] == [True]
    assert life.relay.state(command) == ("delivered", None)
    await life.work()
    again = (await life.ask(life.sdk.refunds.list_async({"limit": 100}))).data
    assert [each.id for each in again] == [each.id for each in refunds]
    assert life.relay.rows("SELECT credit FROM account") == [(0,)]


async def test_what_was_made_long_ago_is_found_by_its_metadata(life: World) -> None:
    command = await life.open()
    (assignment,) = await life.relay.claim(int(Lane.TRANSACTIONAL))
    await life.relay.call(assignment)
    # Stripe forgets keys after a day.
    await life.relay.skip(2 * 86_400)
    answer = await life.sim.post("/_sim/clock", json={"advance_days": 2})
    assert answer.status_code == httpx.codes.OK
    await life.work()
    assert await _made(life) == (1, 1)
    assert life.relay.state(command) == ("delivered", None)


@pytest.mark.parametrize(
    ("fault", "result", "code"),
    [
        ({"status": 429, "retry_after": 1}, "retryable", "rate_limit"),
        ({"status": 429, "code": "lock_timeout"}, "retryable", "lock_timeout"),
        ({"status": 409}, "retryable", "idempotency_key_in_use"),
        ({"status": 500}, "outcome_unknown", "500"),
        ({"status": 503}, "outcome_unknown", "503"),
    ],
)
async def test_what_passes_is_tried_again(
    life: World, fault: dict[str, Any], result: str, code: str
) -> None:
    command = await life.open()
    await _fault(life, **fault, for_s=60)
    await _once(life)
    assert _results(life, command) == [(result, code)]
    await _fault(life, rate=0, for_s=60)
    life.relay.calm()
    await life.work()
    assert await _made(life) == (1, 1)
    assert life.relay.state(command) == ("delivered", None)


async def test_what_is_ours_to_repair_waits_for_a_person_and_goes_on(life: World) -> None:
    await _fault(life, status=401, for_s=60)
    command = await life.open()
    await _once(life)
    assert life.relay.state(command)[0] == "parked"
    (summary,) = life.relay.rows("SELECT key FROM notice")
    assert summary[0].startswith("parked:stripe_")
    assert await life.entitlement() == ("trialing", "trial_begins")
    await _fault(life, rate=0, for_s=60)
    life.relay.calm()
    answer = await life.api.post(f"/v1/notifications/{command}/redrive", json={"reason": "new key"})
    assert answer.json()["result"] == "redriven"
    await life.work()
    assert await life.entitlement() == ("trialing", "trial")


async def test_a_refused_command_is_redriven_with_another_key(life: World) -> None:
    await life.open()
    await life.work()
    command = await life.say("payment_method_added", payment_method="pm_nobody")
    await life.work()
    assert life.relay.state(command) == ("undeliverable", "stripe_resource_missing")
    answer = await life.api.post(f"/v1/notifications/{command}/redrive", json={"reason": "again"})
    assert answer.json()["result"] == "redriven"
    await life.work()
    assert life.relay.state(command) == ("undeliverable", "stripe_resource_missing")
    assert len(_results(life, command)) == 2


async def test_a_later_command_waits_for_an_earlier_one(life: World) -> None:
    first = await life.open()
    second = await life.say("subscription_cancelled", when="period_end")
    claims = {each.claim.notification: each for each in await life.relay.claim(2)}
    # The later one is carried out while the earlier one is in somebody's hands.
    waiting = await life.relay.call(claims[second])
    assert waiting.attempts == ()
    await life.relay.settle(waiting)
    await life.relay.settle(await life.relay.call(claims[first]))
    await life.work()
    assert await life.entitlement() == ("trialing", "trial_ends")
    assert await _made(life) == (1, 1)


async def test_a_hundred_commands_side_by_side_make_one_of_each(life: World) -> None:
    for _ in range(5):
        await life.open()
        await life.say("subscription_resumed")
    for _ in range(30):
        claims = await life.relay.claim(int(Lane.TRANSACTIONAL))
        done = await asyncio.gather(
            *(life.relay.parts._caller.run(each) for each in claims), return_exceptions=True
        )
        assert [each for each in done if isinstance(each, BaseException)] == []
        for each in done:
            if not isinstance(each, BaseException):
                await life.relay.settle(each)
        await life.relay.skip(40)
    await life.work()
    assert await _made(life) == (1, 1)
