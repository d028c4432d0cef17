"""Each rule of our own rows about billing is broken by hand once, and names who breaks it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from outbox.domain.billing_rules import RULES
from outbox.domain.ids import shard_of
from outbox.settings import Settings, StripeSettings

from .relay_hand import Hand, hand

SHARD = shard_of("c_1")
OTHER = next(f"c_{n}" for n in range(2, 400) if shard_of(f"c_{n}") == SHARD)

OPENED = (
    "INSERT INTO billing_event (shard, source, source_id, account, type, at, by, why, result)"
    f" VALUES ({SHARD}, 'backend', 'e1', 'c_1', 'billing.account_opened',"
    " now() - interval '90 days', 'pruuf-backend', 'evt-1', 'recorded')"
)
WORD = (
    "INSERT INTO billing_event (shard, source, source_id, account, type, at, by, why, result,"
    f" object) VALUES ({SHARD}, 'stripe', 'evt_1', 'c_1', '{{type}}', now(), 'stripe', 'x',"
    " 'applied', '{object}')"
)
MEMBER = (
    "UPDATE account SET member_at = now() - interval '3 days', member_by = 'backend',"
    " member_why = 'evt-2' WHERE id = 'c_1'"
)


def _subscription(name: str, account: str = "c_1") -> str:
    return (
        "INSERT INTO subscription (shard, id, account, customer, status, price, period_start,"
        " period_end, cancel_at_period_end, collection_paused, created_at)"
        f" VALUES ({SHARD}, '{name}', '{account}', 'cus_1', 'active', 'price_1',"
        " now() - interval '5 days', now() + interval '25 days', false, false,"
        " now() - interval '60 days')"
    )


def _invoice(name: str, days_ago: int, paid: int = 299) -> str:
    return (
        "INSERT INTO invoice (shard, id, account, subscription, status, reason, currency, due,"
        " paid, remaining, attempts, period_start, period_end, paid_at, intent, created_at)"
        f" VALUES ({SHARD}, '{name}', 'c_1', 'sub_1', 'paid', 'subscription_cycle', 'usd', {paid},"
        f" {paid}, 0, 1, now() - interval '{days_ago} days', now() - interval '{days_ago} days' +"
        f" interval '30 days', now() - interval '{days_ago} days', 'pi_{name}',"
        f" now() - interval '{days_ago} days')"
    )


def _refund(of: str) -> str:
    return (
        "INSERT INTO reversal (shard, id, account, kind, status, amount, currency, intent,"
        f" created_at) VALUES ({SHARD}, 're_1', 'c_1', 'refund', 'succeeded', 299, 'usd',"
        f" 'pi_{of}', now())"
    )


ENDED = (
    "UPDATE subscription SET status = 'canceled', ended_at = now() - interval '5 days',"
    " canceled_at = now() - interval '5 days'"
)

BROKEN: dict[str, tuple[str, list[str]]] = {
    "free_subscribed": ("sub_1", [MEMBER]),
    "free_charged": ("in_2", [MEMBER, ENDED, _invoice("in_2", 2)]),
    "second_subscription": ("sub_2", [_subscription("sub_2")]),
    "charged_twice": ("in_2", [_invoice("in_2", 4)]),
    "beyond_price": ("in_2", [_invoice("in_2", 36, paid=598)]),
    "no_reason": ("c_1", ["DELETE FROM billing_event"]),
    "end_undone": ("sub_1", [WORD.format(type="customer.subscription.deleted", object="sub_1")]),
    "payment_undone": (
        "in_1",
        [
            WORD.format(type="invoice.paid", object="in_1"),
            "UPDATE invoice SET status = 'open', paid = 0",
        ],
    ),
    "end_not_carried_out": ("sub_1", ["UPDATE account SET wish = 'ended', wish_at = now()"]),
    "paid_and_lost": (
        "in_1",
        [ENDED, "UPDATE invoice SET period_start = now() - interval '6 days'"],
    ),
    "never_begun": ("c_1", ["DELETE FROM subscription", "DELETE FROM invoice"]),
}


@pytest.fixture
async def relay(settings: Settings) -> AsyncIterator[Hand]:
    """A relay by hand, and a Contact that pays."""
    stripe = StripeSettings(
        api_key="sk_test_none", webhook_secrets=("whsec_none",), price_id="price_1", api_base=None
    )
    async with hand(settings) as made:
        made.parts.billing_watch.rules._price = stripe.price_id
        opened = (
            "INSERT INTO account (shard, id, role, role_at, opened_at, customer, created_at)"
            f" VALUES ({SHARD}, 'c_1', 'contact', now() - interval '90 days',"
            " now() - interval '90 days', 'cus_1', now() - interval '90 days')"
        )
        for query in (opened, OPENED, _subscription("sub_1"), _invoice("in_1", 5)):
            made.rows(f"{query} RETURNING 1")
        yield made


def _found(relay: Hand) -> list[tuple[str, str]]:
    return relay.rows(
        "SELECT cause, object FROM billing_finding WHERE source = 'rules' ORDER BY 1, 2"
    )


def _shown(relay: Hand, rule: str) -> float | None:
    return relay.metrics.registry.get_sample_value("pruuf_billing_errors", {"rule": rule})


def test_each_rule_is_broken_here() -> None:
    assert set(BROKEN) == set(RULES)


async def test_who_keeps_the_rules_is_not_named(relay: Hand) -> None:
    await relay.parts.billing_watch.rules.look()
    assert _found(relay) == []
    assert relay.rows("SELECT count(*) FROM billing_watch WHERE source = 'rules'") == [(1,)]


@pytest.mark.parametrize("rule", sorted(BROKEN))
async def test_who_breaks_a_rule_is_named(relay: Hand, rule: str) -> None:
    name, queries = BROKEN[rule]
    for query in queries:
        relay.rows(f"{query} RETURNING 1")
    await relay.parts.billing_watch.rules.look()
    assert (rule, name) in _found(relay)
    assert {cause for cause, _ in _found(relay)} <= {rule, "free_subscribed", "paid_and_lost"}
    assert _shown(relay, rule) == 1.0


@pytest.mark.parametrize(("untaxed", "paid", "kept"), [(299, 404, True), (404, 404, False)])
async def test_what_tax_is_stripe_says(relay: Hand, untaxed: int, paid: int, *, kept: bool) -> None:
    relay.rows(f"{_invoice('in_2', 36, paid=paid)} RETURNING 1")
    relay.rows(f"UPDATE invoice SET untaxed = {untaxed} WHERE id = 'in_2' RETURNING 1")
    await relay.parts.billing_watch.rules.look()
    assert _found(relay) == ([] if kept else [("beyond_price", "in_2")])


async def test_what_is_right_again_is_no_longer_named(relay: Hand) -> None:
    relay.rows(f"{_invoice('in_2', 4)} RETURNING 1")
    await relay.parts.billing_watch.rules.look()
    assert _found(relay) == [("charged_twice", "in_2")]
    relay.rows(f"{_refund('in_2')} RETURNING 1")
    # Somebody has looked lately.
    await relay.parts.billing_watch.rules.look()
    assert _found(relay) == [("charged_twice", "in_2")]
    await relay.parts.billing_watch.rules.look(every_s=0.0)
    assert _found(relay) == []
    assert _shown(relay, "charged_twice") is None


async def test_what_a_command_is_about_to_change_is_no_error_yet(relay: Hand) -> None:
    relay.rows(f"{MEMBER} RETURNING 1")
    command = "01900000-0000-7000-8000-000000000001"
    relay.rows(
        "INSERT INTO billing_event (shard, source, source_id, account, type, at, by, why, result,"
        f" command, notification) VALUES ({SHARD}, 'backend', 'e2', 'c_1', 'billing.role_changed',"
        f" now(), 'backend', 'evt-2', 'recorded', 1, '{command}') RETURNING 1"
    )
    await relay.parts.billing_watch.rules.look(every_s=0.0)
    assert _found(relay) == [("free_subscribed", "sub_1")]
    relay.rows(
        f"INSERT INTO due (shard, notification, lane) VALUES ({SHARD}, '{command}', 2) RETURNING 1"
    )
    await relay.parts.billing_watch.rules.look(every_s=0.0)
    assert _found(relay) == []
