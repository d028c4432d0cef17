"""What people are told about billing: each due thing once, nothing untrue, to no Member."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from outbox.domain.billing_notices import KINDS
from outbox.domain.ids import shard_of
from outbox.settings import Settings
from outbox.store import billing_notices as store

from .relay_hand import Hand, hand

SHARD = shard_of("c_1")
_ALWAYS = "".join(f'["{kind}"]\nquiet_hours = ""\n' for kind in KINDS)


@pytest.fixture
async def relay(settings: Settings) -> AsyncIterator[Hand]:
    """A relay by hand, and a Contact in the trial, whose end is set by each test."""
    async with hand(settings, policy=_ALWAYS) as made:
        _run(
            made,
            "INSERT INTO account (shard, id, role, role_at, opened_at, customer)"
            f" VALUES ({SHARD}, 'c_1', 'contact', now(), now(), 'cus_1')",
        )
        _run(
            made,
            "INSERT INTO subscription (shard, id, account, customer, status, trial_end,"
            " cancel_at_period_end, collection_paused, created_at) VALUES"
            f" ({SHARD}, 'sub_1', 'c_1', 'cus_1', 'trialing', now() + interval '10 days', false,"
            " false, now())",
        )
        yield made


def _run(relay: Hand, query: str) -> None:
    relay.rows(f"{query} RETURNING 1")


def _trial_ends_in(relay: Hand, days: float) -> None:
    _run(
        relay,
        f"UPDATE subscription SET trial_end = date_trunc('day', now()) + interval '{days} days'",
    )


async def _tell(relay: Hand) -> None:
    notices = relay.parts.billing_watch.notices
    while await notices._session.persist(notices.round):
        pass


def _told(relay: Hand) -> list[tuple[str, str]]:
    """What was made, and its kind."""
    return relay.rows(
        "SELECT b.what, n.kind FROM billing_notice b JOIN notification n ON n.shard = b.shard"
        " AND n.id = b.notification ORDER BY b.made_at, b.what"
    )


def _states(relay: Hand) -> list[tuple[str, str | None]]:
    return relay.rows(
        "SELECT n.state, n.reason FROM billing_notice b JOIN notification n ON n.shard = b.shard"
        " AND n.id = b.notification ORDER BY b.made_at"
    )


def _unpaid(relay: Hand, *, days: float, decline: str | None) -> None:
    value = "NULL" if decline is None else f"'{decline}'"
    _run(relay, "UPDATE subscription SET status = 'past_due'")
    _run(
        relay,
        "INSERT INTO invoice (shard, id, account, subscription, status, reason, currency, due,"
        " paid, remaining, attempts, failed_at, decline, created_at) VALUES"
        f" ({SHARD}, 'in_1', 'c_1', 'sub_1', 'open', 'subscription_cycle', 'usd', 299, 0, 299, 1,"
        f" now() - interval '{days} days', {value}, now())",
    )


async def test_a_trial_that_ends_is_told_three_times_and_each_once(relay: Hand) -> None:
    await _tell(relay)
    assert _told(relay) == []
    # Its own end is what a reminder is about: by another one all begins anew.
    for days, what in ((6.5, "trial_7"), (2.5, "trial_3"), (0.9, "trial_1")):
        end = "date_trunc('hour', now()) + interval '%s days'"
        _run(relay, f"UPDATE subscription SET trial_end = {end % days}")
        await _tell(relay)
        await _tell(relay)
        assert _told(relay)[-1] == (what, "billing.notice.trial_ending")
    assert len(_told(relay)) == 3


async def test_nobody_is_told_while_events_that_were_missed_are_caught_up_with(relay: Hand) -> None:
    """A later page of Stripe's list may end what an earlier one began."""
    _trial_ends_in(relay, 3)
    row = "UPDATE billing_cursor SET {} WHERE name = 'events'"
    waits = (
        "INSERT INTO inbox (shard, id, provider, said, lane, body, received_at)"
        " VALUES (0, gen_random_uuid(), 'stripe', 'evt_1', 3, '', now() - interval '6 seconds')"
    )
    _run(relay, row.format("page = 'evt_9', lease_until = now() - interval '1 second'"))
    await _tell(relay)
    assert _told(relay) == []
    _run(relay, row.format("page = NULL, read_at = now() - interval '5 seconds'"))
    _run(relay, waits)
    await _tell(relay)
    assert _told(relay) == []
    # What the list brought is waited for, and not for ever; what comes in all the time is not.
    _run(relay, row.format("read_at = now() - interval '9 minutes'"))
    _run(relay, "UPDATE inbox SET received_at = now() - interval '10 minutes'")
    await _tell(relay)
    assert _told(relay) == []
    _run(relay, "UPDATE inbox SET received_at = now() - interval '8 minutes'")
    await _tell(relay)
    assert len(_told(relay)) == 1


async def test_what_a_list_brought_and_nobody_applies_holds_nobody_up_for_long(relay: Hand) -> None:
    _trial_ends_in(relay, 3)
    _run(
        relay,
        "INSERT INTO inbox (shard, id, provider, said, lane, body, received_at)"
        " VALUES (0, gen_random_uuid(), 'stripe', 'evt_1', 3, '', now() - interval '12 minutes')",
    )
    _run(relay, "UPDATE billing_cursor SET read_at = now() - interval '11 minutes'")
    await _tell(relay)
    assert len(_told(relay)) == 1


async def test_a_list_that_is_not_read_to_its_end_holds_nobody_up_for_long(relay: Hand) -> None:
    _trial_ends_in(relay, 3)
    _run(
        relay,
        "UPDATE billing_cursor SET page = 'evt_9', lease_until = now() - interval '11 minutes'"
        " WHERE name = 'events'",
    )
    await _tell(relay)
    assert len(_told(relay)) == 1


async def test_two_relays_tell_it_once(relay: Hand) -> None:
    _trial_ends_in(relay, 3)
    notices = relay.parts.billing_watch.notices
    connection = await notices._session.get()
    (found,) = await store.due(connection, limit=10)
    async with connection.transaction():
        assert await notices._tell(connection, found)
        assert not await notices._tell(connection, found)
    assert len(_told(relay)) == 1
    assert relay.rows("SELECT count(*) FROM notification WHERE kind LIKE 'billing.notice.%'") == [
        (1,)
    ]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE subscription SET status = 'canceled', ended_at = now()",
        "UPDATE subscription SET cancel_at_period_end = true",
        "UPDATE subscription SET trial_end = trial_end + interval '30 days'",
        "UPDATE account SET member_at = now(), member_by = 'x', member_why = 'x'",
        "UPDATE account SET wish = 'ended', wish_at = now()",
    ],
)
async def test_what_is_no_longer_true_is_not_sent(relay: Hand, change: str) -> None:
    _trial_ends_in(relay, 3)
    await _tell(relay)
    _run(relay, change)
    await relay.work()
    assert _states(relay) == [("cancelled", "no_longer_true")]
    assert relay.rows("SELECT count(*) FROM attempt") == [(0,)]


async def test_what_is_true_goes_out(relay: Hand) -> None:
    _trial_ends_in(relay, 3)
    await _tell(relay)
    await relay.work()
    # This person has no device.
    assert [state for state, _ in _states(relay)] == ["undeliverable"]


@pytest.mark.parametrize("role", ["member", "contact"])
async def test_who_is_or_was_a_member_is_told_nothing(relay: Hand, role: str) -> None:
    _unpaid(relay, days=12, decline="expired_card")
    _run(
        relay,
        f"UPDATE account SET role = '{role}', member_at = now(), member_by = 'x', member_why = 'x'",
    )
    await _tell(relay)
    assert _told(relay) == []


@pytest.mark.parametrize(
    ("decline", "kind"),
    [
        ("expired_card", "payment_failed_card"),
        ("insufficient_funds", "payment_failed_later"),
        ("call_issuer", "payment_failed_bank"),
        ("nobody_knows_this", "payment_failed_card"),
    ],
)
async def test_a_failed_payment_tells_what_to_do(relay: Hand, decline: str, kind: str) -> None:
    _unpaid(relay, days=1, decline=decline)
    await _tell(relay)
    assert _told(relay) == [("payment_failed", f"billing.notice.{kind}")]
    # Another try fails for another reason: it was told that it is unpaid.
    _run(relay, "UPDATE invoice SET attempts = 2, decline = 'do_not_honor'")
    await _tell(relay)
    assert len(_told(relay)) == 1


async def test_a_failure_that_was_heard_of_late_waits_for_its_reason(relay: Hand) -> None:
    _unpaid(relay, days=1, decline=None)
    _run(
        relay,
        "INSERT INTO billing_event (shard, source, source_id, account, type, at, by, why, result,"
        f" object) VALUES ({SHARD}, 'stripe', 'evt_1', 'c_1', 'invoice.payment_failed',"
        " now() - interval '1 day', 'stripe', 'x', 'applied', 'in_1')",
    )
    await _tell(relay)
    assert _told(relay) == []
    _run(relay, "UPDATE billing_event SET stored_at = now() - interval '11 minutes'")
    await _tell(relay)
    assert _told(relay) == [("payment_failed", "billing.notice.payment_failed_card")]


async def test_a_confirmation_is_asked_for_as_such(relay: Hand) -> None:
    _unpaid(relay, days=1, decline=None)
    _run(relay, "UPDATE invoice SET action = 'confirm'")
    await _tell(relay)
    assert _told(relay) == [("payment_failed", "billing.notice.payment_failed_confirm")]


async def test_before_access_ends_it_is_told(relay: Hand) -> None:
    _unpaid(relay, days=10.5, decline="do_not_honor")
    await _tell(relay)
    assert [what for what, _ in _told(relay)] == ["payment_failed"]
    _run(relay, "UPDATE invoice SET failed_at = failed_at - interval '1 day'")
    await _tell(relay)
    assert [what for what, _ in _told(relay)] == ["payment_failed", "access_ending"]
    _run(relay, "UPDATE invoice SET status = 'paid', paid = 299, remaining = 0")
    await relay.work()
    assert {reason for _, reason in _states(relay)} == {"no_longer_true"}


async def test_disputes_refunds_and_resumptions_are_told(relay: Hand) -> None:
    for name, kind, status in (
        ("dp_1", "dispute", "needs_response"),
        ("re_1", "refund", "succeeded"),
        ("re_2", "refund", "failed"),
        ("dp_2", "dispute", "won"),
    ):
        _run(
            relay,
            "INSERT INTO reversal (shard, id, account, kind, status, amount, currency, created_at)"
            f" VALUES ({SHARD}, '{name}', 'c_1', '{kind}', '{status}', 299, 'usd', now())",
        )
    _run(relay, "UPDATE subscription SET status = 'active'")
    _run(
        relay,
        "INSERT INTO billing_event (shard, source, source_id, account, type, at, by, why, result,"
        f" object) VALUES ({SHARD}, 'stripe', 'evt_1', 'c_1', 'customer.subscription.resumed',"
        " now(), 'stripe', 'x', 'applied', 'sub_1')",
    )
    await _tell(relay)
    assert sorted(what for what, _ in _told(relay)) == ["disputed", "refunded", "resumed"]
