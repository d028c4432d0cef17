"""Plans, outcomes and chances as hypothesis draws them."""

from __future__ import annotations

from hypothesis import strategies as st

from outbox.domain import decide
from outbox.domain.decide import Final, Move
from outbox.domain.outcomes import Outcome, Result
from outbox.domain.plans import Channel, OnUnknown, Plan, Step
from outbox.domain.states import Lane

_seconds = st.integers(1, 4000)
_steps = st.builds(
    Step,
    channel=st.sampled_from([Channel.SMS, Channel.PUSH]),
    receipt_within_s=st.none() | _seconds,
    retry_within_s=_seconds,
)
_plans = st.builds(
    Plan,
    lane=st.sampled_from([lane.name.lower() for lane in Lane]),
    expires_after_s=_seconds,
    on_unknown=st.sampled_from(OnUnknown),
    steps=st.lists(_steps, min_size=1, max_size=4).map(tuple),
    urgent=st.booleans(),
)
_jitters = st.floats(0, 1, exclude_max=True)
_outcomes = st.builds(
    Outcome,
    result=st.sampled_from(Result),
    provider=st.sampled_from(["twilio", "fcm"]),
    code=st.none() | st.sampled_from(["30005", "no_device"]),
    retry_after_s=st.none() | st.floats(0, 1000),
)


def after(plan: Plan, outcome: Outcome, **changed: object) -> Move | Final:
    given: dict[str, object] = {"step": 0, "attempt": 1, "step_age_s": 0.0, "jitter": lambda: 0.5}
    return decide.after_call(plan, outcome=outcome, **{**given, **changed})  # type: ignore[arg-type]
