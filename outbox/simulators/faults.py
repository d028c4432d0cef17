"""Faults that are switched on while the simulator runs: refusals, delays, drops, lost callbacks."""

from __future__ import annotations

import random
import time
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta, Struct

from outbox.simulators import magic
from outbox.simulators.outcomes import Outcome

Provider = Literal["twilio", "fcm", "stripe"]
PROVIDERS: tuple[Provider, ...] = get_args(Provider)

_Share = Annotated[float, Meta(ge=0, le=1)]
_Milliseconds = Annotated[float, Meta(ge=0, le=600_000)]
_UpToThreeDays = Annotated[float, Meta(ge=0, le=259_200_000)]

_SHUFFLED_OVER_S = 1.0


class CallbackFaults(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What happens to callbacks, the app's acknowledgements among them."""

    lose: _Share = 0.0
    duplicate: _Share = 0.0
    delay_ms: _UpToThreeDays = 0
    shuffle: bool = False
    """Each is late by a chance of its own, up to a second, so that their order is by chance;
    Stripe's webhooks by up to ``delay_ms``, if that is more."""


class ListFaults(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What happens to those who ask Twilio for its messages, one or a list, or search at Stripe."""

    lag_ms: _Milliseconds = 0
    """It is there to be seen only so long after its acceptance; at Stripe by its own clock."""
    fail: _Share = 0.0
    """Share of the questions that get 503, those that `Fault.rate` struck not among them."""


class Fault(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One fault, for a time."""

    provider: Provider | None = None
    """Null: all."""
    rate: _Share = 1.0
    """Share of the calls that it strikes; the callbacks have shares of their own."""
    latency_ms: _Milliseconds = 0
    """Delay of the calls that it strikes."""
    status: Annotated[int, Meta(ge=400, le=599)] | None = None
    """Refuse with this status; nothing is accepted."""
    code: str | None = None
    """Stripe's error code in place of the status's usual one, such as ``lock_timeout``."""
    retry_after: Annotated[int, Meta(ge=0, le=86_400)] | None = None
    """Header of the refusal, in seconds."""
    outcome: str | None = None
    """What becomes of the texts that it strikes, as of those to a magic number of this outcome,
    such as ``undelivered_30007``; Twilio's alone, and only of texts that would be delivered."""
    sender: str | None = None
    """The outcome is that of texts from this sender; null: from all."""
    drop: bool = False
    """Do what is asked, then close the connection without an answer."""
    callbacks: CallbackFaults | None = None
    lists: ListFaults | None = None
    """Of Twilio, and Stripe's searches; FCM has none."""
    for_s: Annotated[float, Meta(gt=0)] | None = None
    """Null: until it is cleared or replaced."""


_SOUND = ListFaults()


def decode(body: bytes) -> Fault:
    """A fault as it is posted; raises `ValueError` with what is wrong with it."""
    try:
        fault = msgspec.json.decode(body, type=Fault)
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from error
    if fault.status is not None and fault.drop:
        msg = "status refuses a call and drop accepts it: one of them"
        raise ValueError(msg)
    if fault.outcome is not None and not magic.is_of_numbers(fault.outcome):
        msg = f"outcome: what becomes of texts to a magic number, not {fault.outcome}"
        raise ValueError(msg)
    if fault.sender is not None and fault.outcome is None:
        msg = "sender says whose texts an outcome is about: it needs one"
        raise ValueError(msg)
    if fault.retry_after is not None and fault.status is None:
        msg = "retry_after is the header of a refusal: it needs a status"
        raise ValueError(msg)
    return fault


class Faults:
    """The fault in force, if any, for each provider."""

    def __init__(self, seed: int | None = None) -> None:
        """``seed`` repeats the same chances; null: other ones each time."""
        self._chance = random.Random(seed)  # noqa: S311 - a simulation
        self._active: dict[Provider, tuple[Fault, float]] = {}

    def put(self, fault: Fault) -> None:
        """Put a fault in force; it replaces the one before."""
        until = time.monotonic() + fault.for_s if fault.for_s is not None else float("inf")
        for provider in (fault.provider,) if fault.provider else PROVIDERS:
            self._active[provider] = (fault, until)

    def clear(self) -> None:
        """All is well again."""
        self._active.clear()

    def current(self, provider: Provider) -> Fault | None:
        """The fault in force for a provider."""
        if not self._active:
            return None
        fault, until = self._active.get(provider, (None, 0.0))
        return fault if time.monotonic() < until else None

    def strike(self, provider: Provider) -> Fault | None:
        """The fault that strikes this very call, if any."""
        fault = self.current(provider)
        return fault if fault is not None and self._chance.random() < fault.rate else None

    def outcome(self, sender: str) -> Outcome | None:
        """What becomes of this very text from a sender; null: what its number says."""
        fault = self.current("twilio")
        if fault is None or fault.outcome is None or fault.sender not in {None, sender}:
            return None
        return magic.named(fault.outcome) if self._chance.random() < fault.rate else None

    def lists(self, provider: Provider = "twilio") -> ListFaults:
        """The faults of Twilio's lists, or of Stripe's searches."""
        fault = self.current(provider)
        return _SOUND if fault is None or fault.lists is None else fault.lists

    def list_fails(self, provider: Provider = "twilio") -> bool:
        """Whether this very question fails."""
        share = self.lists(provider).fail
        return share > 0 and self._chance.random() < share

    def callback_delays(self, provider: Provider) -> tuple[float, ...]:
        """How late each copy of a callback is, in seconds; empty when it is lost."""
        fault = self.current(provider)
        if fault is None or fault.callbacks is None:
            return (0.0,)
        wanted = fault.callbacks
        if self._chance.random() < wanted.lose:
            return ()
        copies = 2 if self._chance.random() < wanted.duplicate else 1
        over = _SHUFFLED_OVER_S if wanted.shuffle else 0.0
        return tuple(wanted.delay_ms / 1000 + over * self._chance.random() for _ in range(copies))

    def webhook_delays(self) -> tuple[float, ...]:
        """How late each copy of a webhook of Stripe is, in seconds of its clock."""
        fault = self.current("stripe")
        if fault is None or fault.callbacks is None:
            return (0.0,)
        wanted = fault.callbacks
        if self._chance.random() < wanted.lose:
            return ()
        copies = 2 if self._chance.random() < wanted.duplicate else 1
        delay_s = wanted.delay_ms / 1000
        if not wanted.shuffle:
            return (delay_s,) * copies
        most = max(delay_s, _SHUFFLED_OVER_S)
        return tuple(most * self._chance.random() for _ in range(copies))
