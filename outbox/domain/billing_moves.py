"""What happens next to a command: nothing of it is given up in silence, and nothing expires.

A command that cannot succeed ends with its reason; what is ours to repair, or has not succeeded in
a week, waits for a person.
"""

from __future__ import annotations

from outbox.domain import backoff
from outbox.domain.backoff import Jitter
from outbox.domain.billing_facts import STRIPE
from outbox.domain.billing_plan import Enough
from outbox.domain.decide import Final, Move
from outbox.domain.history import reason_of
from outbox.domain.outcomes import SENT, STEP_IS_OVER, Outcome, Result
from outbox.domain.states import State, Work

UNKNOWN = "outcome_unknown"

_WAIT_S = 0.25
_LONGEST_WAIT_S = 30.0


def after_waiting(*, attempt: int, asked: int, jitter: Jitter) -> Move:
    """An earlier command of its account comes first; no call was made."""
    wait = min(_LONGEST_WAIT_S, _WAIT_S * 2.0 ** min(asked, 16))
    return Move(
        work=Work.SEND,
        step=0,
        attempt=max(0, attempt - 1),
        asked=min(asked + 1, 16),
        delay_s=wait * (0.75 + 0.5 * jitter()),
        anew=True,
    )


def after(  # noqa: PLR0911 - one return for each class of outcome
    outcome: Outcome,
    *,
    enough: Enough | None,
    attempt: int,
    is_late: bool,
    jitter: Jitter,
) -> Move | Final:
    """After a change, or after it was seen that there is none to make (``enough``).

    ``is_late``: it has been tried for as long as anything is.
    """
    if enough is not None:
        if enough.failed:
            return Final(state=State.UNDELIVERABLE, reason=enough.why)
        return Final(state=State.DELIVERED, proof="accepted", channel=STRIPE)
    if outcome.result in SENT:
        return Move(work=Work.SEND, step=0, attempt=0, anew=True)
    reason = reason_of(STRIPE, outcome.code, outcome.result)
    if outcome.result in STEP_IS_OVER:
        return Final(state=State.UNDELIVERABLE, reason=reason)
    if outcome.result in {Result.CONFIGURATION_FAULT, Result.SENDER_FAULT}:
        return parked(reason)
    if is_late:
        return parked(UNKNOWN if outcome.result is Result.OUTCOME_UNKNOWN else reason)
    delay_s = backoff.delay_s(
        attempt, urgent=False, jitter=jitter, retry_after_s=outcome.retry_after_s
    )
    return Move(work=Work.SEND, step=0, attempt=attempt, delay_s=delay_s)


def parked(reason: str) -> Move:
    """It waits for a person."""
    return Move(work=Work.SEND, step=0, attempt=0, delay_s=None, parked=reason)
