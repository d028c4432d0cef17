"""Topics are for many and never for alerts: what a policy file may not make of them."""

from __future__ import annotations

import pytest

from outbox.domain.announcements import KIND, TOPIC_PLAN, TOPICS
from outbox.domain.plans import Channel
from outbox.domain.policy import NOTICE, PolicyError, default_policy, parse
from outbox.domain.states import Lane

_TOPIC = 'steps = [{ channel = "topic" }]'


@pytest.mark.parametrize("kind", ["checkin.missed", "checkin.all_clear", "operator.page"])
@pytest.mark.parametrize("channel", ["topic", "topics"])
def test_no_alert_goes_by_a_topic(kind: str, channel: str) -> None:
    steps = f'steps = [{{ channel = "push" }}, {{ channel = "{channel}" }}]'
    with pytest.raises(PolicyError, match="reaches nobody in particular; accepted: sms, push"):
        parse(f'["{kind}"]\n{steps}\n')


@pytest.mark.parametrize("kind", sorted(set(default_policy().plans) - {KIND, TOPIC_PLAN, TOPICS}))
def test_nor_does_anything_that_is_meant_for_somebody(kind: str) -> None:
    with pytest.raises(PolicyError):
        parse(f'["{kind}"]\n{_TOPIC}\n')


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f'["{KIND}"]\nsteps = [{{ channel = "sms" }}]', "accepted: push"),
        (f'["{KIND}"]\n{_TOPIC}', "accepted: push"),
        (f'["{KIND}"]\nlane = "safety"', "the lane safety; accepted: bulk"),
        (f'["{TOPIC_PLAN}"]\nsteps = [{{ channel = "push" }}]', "accepted: topic"),
        (f'["{TOPIC_PLAN}"]\nquiet_hours = "21:00-08:00"', "every time zone"),
        (f'["{TOPICS}"]\nsteps = [{{ channel = "push" }}]', "accepted: topics"),
        (f'["{TOPICS}"]\nlane = "transactional"', "accepted: bulk"),
        ('["checkin.missed"]\nsteps = [{ channel = "sms", ttl_s = 60 }]', "a step by sms"),
    ],
)
def test_a_mistake_is_told(text: str, said: str) -> None:
    with pytest.raises(PolicyError) as caught:
        parse(text)
    assert said in str(caught.value)


def test_the_night_may_be_given_back() -> None:
    assert parse(f'["{KIND}"]\nquiet_hours = ""').plan(KIND).quiet_hours == ""


def test_the_defaults() -> None:
    plans = default_policy().plans
    assert plans[KIND].quiet_hours == "21:00-08:00"
    assert plans[TOPIC_PLAN].quiet_hours is None
    for kind in (KIND, TOPIC_PLAN, TOPICS):
        assert plans[kind].lane_number is Lane.BULK
    for kind, plan in plans.items():
        if kind.startswith("billing.") and not kind.startswith(NOTICE):
            assert {step.channel for step in plan.steps} == {Channel.STRIPE}
        elif kind not in {TOPIC_PLAN, TOPICS}:
            channels = {step.channel for step in plan.steps}
            assert channels <= {Channel.SMS, Channel.PUSH, Channel.PAGE}
    # What a default file says must itself be a policy.
    for kind in plans:
        parse(f'["{kind}"]\n')
