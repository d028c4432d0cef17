"""Faults that can be switched on while the simulator runs: refusals, delays, lost callbacks."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from typing import Literal

import msgspec


class CallbackFaults(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What happens to callbacks; shares are between 0 and 1."""

    lose: float = 0.0
    duplicate: float = 0.0
    delay_ms: int = 0
    shuffle: bool = False


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One fault, for a time."""

    provider: Literal["twilio", "fcm"] | None = None
    """Null: both."""
    rate: float = 1.0
    """Share of the calls that it strikes."""
    latency_ms: int = 0
    status: int | None = None
    retry_after: int | None = None
    drop: bool = False
    """Accept, then close the connection without an answer."""
    callbacks: CallbackFaults = CallbackFaults()
    for_s: float = 3600.0


@dataclass
class Faults:
    """The fault in force, if any, per provider."""

    seed: int | None = None
    _active: dict[str, tuple[Fault, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Seed, so that a run can be repeated."""
        self._random = random.Random(self.seed)  # noqa: S311 - a simulation

    def set(self, fault: Fault) -> None:
        """Put a fault in force; it replaces the one before."""
        until = time.monotonic() + fault.for_s
        for provider in (fault.provider,) if fault.provider else ("twilio", "fcm"):
            self._active[provider] = (fault, until)

    def clear(self) -> None:
        """All is well again."""
        self._active.clear()

    def current(self, provider: str) -> Fault | None:
        """The fault in force for a provider."""
        fault, until = self._active.get(provider, (None, 0.0))
        return fault if time.monotonic() < until else None

    def strikes(self, provider: str) -> Fault | None:
        """The fault that strikes this very call, if any."""
        fault = self.current(provider)
        return fault if fault is not None and self._random.random() < fault.rate else None

    def callback_copies(self, provider: str) -> int:
        """How often a callback is delivered: 0, 1 or 2."""
        fault = self.current(provider)
        if fault is None:
            return 1
        if self._random.random() < fault.callbacks.lose:
            return 0
        return 2 if self._random.random() < fault.callbacks.duplicate else 1

    def callback_delay_s(self, provider: str) -> float:
        """Extra delay of a callback."""
        fault = self.current(provider)
        if fault is None:
            return 0.0
        delay = fault.callbacks.delay_ms / 1000
        return delay + (self._random.random() if fault.callbacks.shuffle else 0.0)
