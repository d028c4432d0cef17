"""Plans as data: the ordered steps of each kind, read from one table that a person can read."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from outbox.domain.states import Lane

Seconds = Annotated[int, Meta(gt=0, le=604_800)]


class Channel(StrEnum):
    """A way to reach somebody."""

    SMS = "sms"
    PUSH = "push"
    PAGE = "page"
    """The operator's own path: neither Twilio nor FCM."""
    TOPIC = "topic"
    """A push to all devices that follow a topic, whoever they are: never for an alert."""
    TOPICS = "topics"
    """Tells nobody anything: lets a device follow a topic, or no longer."""
    STRIPE = "stripe"
    """Tells nobody anything: makes Stripe agree with what is wanted of an account."""


class OnUnknown(StrEnum):
    """What follows when a call's outcome stays unknown."""

    RESEND = "resend"
    RESEND_IF_ABSENT = "resend_if_absent"


class Sender(StrEnum):
    """Which of the configured senders a step uses."""

    FIRST = "first"
    OTHER = "other"


class Step(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One step of a plan."""

    channel: Channel
    receipt_within_s: Seconds | None = None
    """Time for proof before the next step; null: the provider's acceptance is the proof."""
    retry_within_s: Seconds = 600
    """Time for retries of temporary faults before the next step, from the step's start."""
    sender: Sender = Sender.FIRST
    ttl_s: Seconds | None = None
    """Of a push: how long FCM keeps it for a device that is off, and never for longer than until
    the notification expires; null: until then."""


class Plan(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is tried for one kind."""

    lane: str
    expires_after_s: Seconds
    on_unknown: OnUnknown
    steps: tuple[Step, ...]
    urgent: bool = False
    """Push at high priority, retries at a short pace."""
    quiet_hours: str | None = None
    """``21:00-08:00`` by the recipient's clock: nothing is sent then; null: at any hour."""

    @property
    def lane_number(self) -> Lane:
        """The lane as stored."""
        return Lane[self.lane.upper()]


_decoder = msgspec.json.Decoder(Plan)


@cache
def decode(stored: bytes) -> Plan:
    """The plan that a notification was accepted with; cached, as there are few distinct ones."""
    return _decoder.decode(stored)


@cache
def defaults() -> Mapping[str, Plan]:
    """The default plans by kind (``plans.toml``)."""
    text = resources.files(__package__).joinpath("plans.toml").read_bytes()
    plans = msgspec.toml.decode(text, type=dict[str, Plan])
    for kind, plan in plans.items():
        if plan.lane.upper() not in Lane.__members__ or not plan.steps:
            msg = f"plan {kind}: lane {plan.lane!r} is unknown, or it has no step"
            raise ValueError(msg)
    return plans


@cache
def encode(plan: Plan) -> bytes:
    """The plan as it is stored with a notification; cached, as there are few distinct ones."""
    return msgspec.json.encode(plan)
