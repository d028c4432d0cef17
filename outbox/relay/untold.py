"""Calls of which nobody wrote what came of them: their relay ended, or our own code failed.

Each leaves a trace: else a later look at the history would hold that nothing was ever sent.
"""

from __future__ import annotations

from datetime import UTC, datetime

from msgspec.structs import replace

from outbox.domain.history import History
from outbox.domain.outcomes import Outcome, Result
from outbox.domain.states import Work
from outbox.store.claims import Claim
from outbox.store.settle import Attempt, Settlement

RELAY_ENDED = "the relay that called ended before it told what came of it"
CODE_FAILED = "our own code failed, maybe after the call"


class CallError(Exception):
    """Our own code failed where a call is made: it may have gone out before."""


def is_untold(claim: Claim, history: History) -> bool:
    """Whether a claim is to find out about a call of which there is no word yet."""
    known = any(call.fence == claim.call_fence for call in history.calls)
    return claim.work == Work.RESOLVE and not known


def with_trace(settlement: Settlement, *, channel: str, provider: str, why: str) -> Settlement:
    """Add a call whose outcome nobody knows to what tells of none."""
    if settlement.attempts:
        return settlement
    outcome = Outcome(result=Result.OUTCOME_UNKNOWN, provider=provider, detail=why)
    attempt = Attempt(channel=channel, outcome=outcome, at=datetime.now(UTC))
    return replace(settlement, attempts=(attempt,))
