"""How long FCM keeps a push, and what a command about a topic has done so far."""

from __future__ import annotations

import pytest

from outbox.domain.history import Called, History
from outbox.domain.plans import Channel, OnUnknown, Plan, Step
from outbox.domain.policy import default_policy
from outbox.relay.pushing import ttl_s
from outbox.relay.topics import done


def _plan(ttl: int | None) -> Plan:
    return Plan(
        lane="bulk",
        expires_after_s=1000,
        on_unknown=OnUnknown.RESEND,
        steps=(Step(channel=Channel.PUSH, ttl_s=ttl),),
    )


@pytest.mark.parametrize(
    ("ttl", "age_s", "kept"),
    [
        (None, 0.0, 1000),
        (None, 400.5, 600),
        (None, 1000.0, 0),
        (None, 5000.0, 0),
        # The database's clock is ahead of this machine's.
        (None, -30.0, 1000),
        (300, 0.0, 300),
        (300, 900.0, 100),
    ],
)
def test_a_push_is_kept_no_longer_than_it_makes_sense(
    ttl: int | None, age_s: float, kept: int
) -> None:
    assert ttl_s(_plan(ttl), 0, age_s=age_s) == kept


def test_every_push_of_the_defaults_ends_with_its_notification() -> None:
    for plan in default_policy().plans.values():
        for index, step in enumerate(plan.steps):
            if step.channel in {Channel.PUSH, Channel.TOPIC}:
                # FCM keeps nothing for longer than four weeks.
                assert 0 < ttl_s(plan, index, age_s=0.0) <= min(plan.expires_after_s, 2_419_200)


def _called(fence: int, result: str, code: str | None, *, what: str = "send") -> Called:
    return Called(
        step=0,
        fence=fence,
        what=what,
        channel="topics",
        provider="fcm",
        sender=None,
        result=result,
        code=code,
        provider_id=None,
    )


@pytest.mark.parametrize(
    ("calls", "did"),
    [
        ((), None),
        ((_called(1, "accepted", "subscribed"),), "subscribed"),
        (
            (_called(1, "accepted", "subscribed"), _called(2, "accepted", "unsubscribed")),
            "unsubscribed",
        ),
        # The newest may have arrived or not: nobody knows what holds.
        ((_called(1, "accepted", "subscribed"), _called(2, "retryable", "timeout")), None),
        ((_called(1, "channel_final", "UNREGISTERED"),), None),
    ],
)
def test_what_the_newest_call_did(calls: tuple[Called, ...], did: str | None) -> None:
    assert done(History(calls)) == did
