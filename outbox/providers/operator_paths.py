"""All paths to the person on call, tried at once: the page is accepted if one of them took it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Protocol

from outbox.domain.messages import Page
from outbox.domain.outcomes import Outcome, Result
from outbox.providers.calls import Call

_log = logging.getLogger(__name__)

_PROVIDER = "operator"
_ORDER = (Result.ACCEPTED, Result.RETRYABLE, Result.CONFIGURATION_FAULT)
"""From the best to the worst; one that may work later is tried again for all."""


class Path(Protocol):
    """One path."""

    async def send(self, page: Page) -> Outcome:
        """Hand one page over; never raises for what the receiver or the network does."""
        ...

    async def check(self) -> Outcome:
        """Whether it would work, as far as that can be seen without calling anybody."""
        ...


class Operator:
    """Calls the person on call; without a path every call says so."""

    def __init__(self, paths: Mapping[str, Path]) -> None:
        """``paths`` by their names."""
        self.paths = paths

    async def send(self, page: Page) -> Outcome:
        """Hand one page to every path; the best of what they came to."""
        if not self.paths:
            call = Call(_PROVIDER, "operator.page", notification_id=page.notification_id)
            return call.ended(Result.CONFIGURATION_FAULT, code="no_operator_path")
        outcomes = await asyncio.gather(*(path.send(page) for path in self.paths.values()))
        best = min(outcomes, key=lambda outcome: _ORDER.index(outcome.result))
        for name, outcome in zip(self.paths, outcomes, strict=True):
            if outcome.result is not Result.ACCEPTED:
                _log.warning(
                    "page %s: the operator's %s did not take it (%s)",
                    page.notification_id,
                    name,
                    outcome.code,
                )
        return best
