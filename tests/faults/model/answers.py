"""What the model compares: a due row as the database shows it, an outcome, and what follows."""

from __future__ import annotations

from typing import Any

from outbox.domain.decide import Final, Move
from outbox.domain.outcomes import Outcome, Result
from outbox.domain.states import Work
from tests.integration.relay_fakes import NEVER_ARRIVED, UNKNOWN, accepted, refused

from .decide import ANSWERS, End, Next

_CODES = {
    "channel_final": ("21614", "UNREGISTERED"),
    "recipient_suppressed": ("21610", "21610"),
    "content_final": ("30007", "30007"),
    "configuration_fault": ("20003", "20003"),
    "retryable": ("20429", "QUOTA_EXCEEDED"),
}


def shown(row: tuple[Any, ...]) -> dict[str, object]:
    names = ("step", "attempt", "asked", "fence", "call_fence", "suspect", "owner", "failed")
    return {
        "work": Work(row[0]).name,
        **dict(zip((*names, "cancel", "parked"), row[1:], strict=True)),
    }


def outcome(answer: str, provider: str) -> Outcome:
    result = Result(ANSWERS[answer])
    if result is Result.ACCEPTED:
        return accepted(provider, "projects/p/messages/1" if provider == "fcm" else None)
    if result is Result.OUTCOME_UNKNOWN:
        return UNKNOWN if answer == "takes it, and the answer is lost" else NEVER_ARRIVED
    code = _CODES[result][provider == "fcm"]
    return refused(result, code, provider=provider, wish=30.0 if "30" in answer else None)


def same(move: Move | Final, then: Next | End) -> bool:
    if isinstance(move, Final) or isinstance(then, End):
        return isinstance(move, Final) and isinstance(then, End) and move.state == then.state
    found = (move.work, move.step, move.attempt, move.asked, move.parked is not None)
    wanted = (then.work, then.step, then.attempt, then.asked, then.parked)
    near = then.parked or abs((move.delay_s or 0.0) - then.in_s) < 0.001
    return found == wanted and near and move.receipt_within_s == then.receipt_within_s


def short(then: Next | End) -> str:
    if isinstance(then, End):
        return then.state
    if then.parked:
        return "parked"
    return f"{Work(then.work).name.lower()}, step {then.step}, in {then.in_s:g} s"
