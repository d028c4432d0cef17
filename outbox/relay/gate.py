"""Whether a provider's sender may be called now: breaker, holds and rate, without any waiting.

Everything here is answered from memory; `outbox.relay.gate_sync` shares it with the other relays.
A call that may not be made is not an attempt: it is given back, or an alert goes another way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from msgspec import Struct

from outbox.domain.backoff import Jitter
from outbox.domain.breaker import Breaker
from outbox.domain.outcomes import Outcome, Result
from outbox.domain.rates import Share, share_of
from outbox.domain.states import Lane
from outbox.providers.codes import is_of_one_route
from outbox.relay.clock import TOTAL_TIMEOUT_S, Clock
from outbox.store.gates import SenderKey

ON_HOLD = "on_hold"
"""Why a call is not made that a person forbids."""

PROBE_S = 12.0
"""The lease of a probe."""

PROBE_WITHIN_S = PROBE_S - TOTAL_TIMEOUT_S - 1.0
"""A probe begins so soon that it has ended when another relay may begin one."""

_OWN_LIMIT = frozenset({"429", "20429", "QUOTA_EXCEEDED", "RESOURCE_EXHAUSTED"})
"""Answers of a provider that is well, and wants us to be slower."""

_BENCH_S = 60.0
"""How long a sender rests that the provider refuses as such."""

_DOUBT_S = 600.0
"""How long another sender is preferred after a carrier refused this one in a receipt."""

_RETRY_TOKEN_S = 0.2
_RETURNING_S = 1.0

_ON_HOLD_S = {Lane.SAFETY: 2.0}
_ON_HOLD_OTHERS_S = 30.0
"""Longest until what waits for a person's release looks again: many may wait for it."""


class Verdict(Struct, frozen=True, kw_only=True):
    """Whether a call may be made."""

    go: bool
    probe: bool = False
    """It is the one call that finds out whether the provider is back."""
    why: str = ""
    """``down``, ``returning``, ``held`` (by the provider's wish), ``on_hold`` (by a person) or
    ``rate``; empty when it may go."""
    wait_s: float = 0.0
    """When to ask again."""
    at: float = 0.0
    """When the call was let go."""

    @property
    def is_down(self) -> bool:
        """Whether the provider is known not to work: an alert goes another way at once."""
        return self.why in {"down", "returning", ON_HOLD}


class Way(Struct, kw_only=True):
    """One sender of one provider, as this relay sees it."""

    key: SenderKey
    label: str
    """For metrics: its position, never its number."""
    rate: float | None
    """Messages per second of all relays together; null: not limited."""
    breaker: Breaker
    shared_open: bool = False
    held_until: float = 0.0
    probe_until: float = 0.0
    """Until then the next call is the probe; 0 when there is none to make."""
    probing_until: float = 0.0
    """A probe of this relay may be under way until then; 0 when none is."""
    doubted_until: float = 0.0
    """Until then it comes last: the provider takes its texts, and carriers refuse them."""
    tokens: dict[Share, int] = {}
    leased_at: float = 0.0
    """Of the newest tokens; old ones are worthless, or a pause would be followed by a burst."""
    wanted: dict[Share, int] = {}
    """Calls that found no token since the last lease."""
    ended: list[bool] = []
    """Results of probes that the other relays have not been told."""
    hold_told: float = 0.0
    """The end of the hold that the other relays have been told, or told us."""
    on_hold_until: float = 0.0
    """Until then a person keeps every relay from calling it; 0 when nobody does."""


def is_outage(outcome: Outcome) -> bool:
    """Whether an outcome speaks of a provider that does not work."""
    if outcome.result is Result.OUTCOME_UNKNOWN:
        return True
    return outcome.result is Result.RETRYABLE and outcome.code not in _OWN_LIMIT


class Gate:
    """All ways of one relay."""

    def __init__(
        self,
        ways: Sequence[Way],
        *,
        clock: Clock,
        jitter: Jitter,
        on_change: Callable[[Way], None] = lambda _: None,
    ) -> None:
        """``on_change`` is told when a way opened or closed by this relay's own experience."""
        self.ways = list(ways)
        self._clock = clock
        self._jitter = jitter
        self._on_change = on_change
        self.hungry = asyncio.Event()
        """Set when a call found no token: the next lease should not wait."""

    def of(self, provider: str) -> list[Way]:
        """The ways of a provider, in order of preference."""
        return [way for way in self.ways if way.key.provider == provider]

    def is_down(self, provider: str) -> bool:
        """Whether no way of a provider works, or may be used."""
        now = self._clock()
        return all(
            self.is_on_hold(way)
            or ((way.breaker.is_open or way.shared_open) and not now < way.probe_until)
            for way in self.of(provider)
        )

    def is_on_hold(self, way: Way) -> bool:
        """Whether a person keeps us from calling it."""
        return self._clock() < way.on_hold_until

    def is_held(self, provider: str) -> bool:
        """Whether a person keeps us from calling any sender of a provider."""
        ways = self.of(provider)
        return bool(ways) and all(self.is_on_hold(way) for way in ways)

    def ask(self, way: Way, lane: int) -> Verdict:  # noqa: PLR0911 - one return for each reason
        """Whether a call may be made now; a yes takes a token."""
        now = self._clock()
        if way.on_hold_until > now:
            most = _ON_HOLD_S.get(Lane(lane), _ON_HOLD_OTHERS_S)
            return Verdict(go=False, why=ON_HOLD, wait_s=min(most, way.on_hold_until - now))
        if way.held_until > now:
            return Verdict(go=False, why="held", wait_s=way.held_until - now)
        if now < way.probe_until:
            way.probe_until = 0.0
            way.probing_until = now + PROBE_S
            return Verdict(go=True, probe=True, at=now)
        if way.breaker.is_open or way.shared_open:
            until = way.breaker.open_until or now + _RETURNING_S
            return Verdict(go=False, why="down", wait_s=max(0.5, until - now))
        share = way.breaker.share(now)
        if share < 1.0 and self._jitter() >= share:
            return Verdict(go=False, why="returning", wait_s=_RETURNING_S)
        if way.rate is None:
            return Verdict(go=True, at=now)
        return self._take(way, share_of(lane), now)

    def heard(self, way: Way, verdict: Verdict, outcome: Outcome) -> None:
        """Learn from the outcome of a call that was let go."""
        now = self._clock()
        if outcome.code in _OWN_LIMIT and outcome.retry_after_s:
            # It is the account that is too fast, not one of its senders.
            for each in self.of(way.key.provider):
                each.held_until = max(each.held_until, now + outcome.retry_after_s)
            self.hungry.set()
        ok = not is_outage(outcome)
        # Where one recipient cannot be reached from a sender, others can.
        refused = outcome.result is Result.SENDER_FAULT and not is_of_one_route(outcome.code)
        if verdict.probe:
            ok = ok and not refused
            way.probing_until = 0.0
            way.ended = [*way.ended, ok]
            self.hungry.set()
        if refused:
            if verdict.probe or not way.breaker.is_open:
                way.breaker.open(now, for_s=_BENCH_S)
                self._on_change(way)
            return
        if verdict.probe:
            way.breaker.probed(ok=ok, now=now)
            if ok:
                way.shared_open = False
                self._on_change(way)
        elif way.breaker.heard(ok=ok, now=now, began=verdict.at):
            self.hungry.set()
            self._on_change(way)

    def doubt(self, provider: str, place: int) -> None:
        """A receipt says that the sender at this place is refused as such.

        It goes on where there is no other one: one carrier's refusal is not all carriers'.
        """
        ways = self.of(provider)
        if place < len(ways):
            ways[place].doubted_until = self._clock() + _DOUBT_S

    def may_be_back(self, way: Way) -> bool:
        """Whether it was down, and the next call is to find out whether it still is."""
        return self._clock() < way.probe_until

    def is_doubted(self, way: Way) -> bool:
        """Whether another sender is better."""
        return self._clock() < way.doubted_until

    def budget(self, provider: str, lane: int, wanted: int) -> int | None:
        """How many of so many calls of a lane this provider could take now; null: all of them.

        Asks for more tokens where they are short, so that the next lease brings them.
        """
        ways, share = self.of(provider), share_of(lane)
        if not ways or any(way.rate is None for way in ways):
            return None
        have = sum(way.tokens.get(share, 0) for way in ways)
        if have >= wanted:
            return None
        first = ways[0]
        first.wanted = {**first.wanted, share: max(first.wanted.get(share, 0), wanted - have)}
        self.hungry.set()
        return have

    def headroom(self, way: Way) -> float | None:
        """Tokens at hand; null where the way is not limited."""
        return None if way.rate is None else sum(way.tokens.values())

    def _take(self, way: Way, share: Share, now: float) -> Verdict:
        have = way.tokens.get(share, 0)
        if have:
            way.tokens = {**way.tokens, share: have - 1}
            return Verdict(go=True, at=now)
        way.wanted = {**way.wanted, share: way.wanted.get(share, 0) + 1}
        self.hungry.set()
        wait_s = _RETRY_TOKEN_S
        if share is not Share.SAFETY and way.rate is not None:
            # About when the queue of those who found none may have passed.
            wait_s = max(wait_s, min(30.0, way.wanted[share] / way.rate))
        return Verdict(go=False, why="rate", wait_s=wait_s)
