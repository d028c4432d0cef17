"""A call is over before its lease is: else two relays would make it."""

from __future__ import annotations

from outbox.providers import transport
from outbox.relay import clock


def test_a_call_that_starts_as_late_as_it_may_is_settled_inside_its_lease() -> None:
    over_after_s = clock.START_WITHIN_S + transport.TOTAL_TIMEOUT_S
    assert over_after_s + 2.0 <= clock.LEASE_S


def test_the_providers_time_out_is_the_one_that_the_lease_reckons_with() -> None:
    assert transport.TOTAL_TIMEOUT_S <= clock.TOTAL_TIMEOUT_S


def test_a_claim_has_time_to_start() -> None:
    assert clock.START_WITHIN_S >= 5.0
