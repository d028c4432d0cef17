"""The policy in force: plans, rates, and who may be sent a code; defaults, or a file over them.

A mistake in the file stops the process at its start, with the place and what is accepted.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

from outbox.domain import announcements, canaries, plans
from outbox.domain.plans import Channel, OnUnknown, Plan
from outbox.domain.quiet import parse as parse_quiet
from outbox.domain.rates import Rates, Shares, default_rates, default_shares
from outbox.domain.readiness import PROOF
from outbox.domain.states import Lane

Shape = TypeVar("Shape")

_SECTIONS = ("rates", "shares", "senders", "codes", "keep")

CODE = "verification.code"
"""Kind of the text that brings a one-time code."""

_COMMAND = "billing."
"""Kinds of commands at Stripe begin with it."""

NOTICE = "billing.notice."
"""But these tell people something."""

CODE_HOLDS_S = 600
"""From its request to its end."""

_MUST_BE_SAFETY = frozenset({"checkin.missed", "checkin.all_clear", "operator.page"})
_FOR_MANY = {
    announcements.KIND: Channel.PUSH,
    announcements.TOPIC_PLAN: Channel.TOPIC,
    announcements.TOPICS: Channel.TOPICS,
}
"""Plans of announcements and of what they need, each with its only channel."""
_PLAN_FIELDS = tuple(field.name for field in msgspec.structs.fields(Plan))


class PolicyError(ValueError):
    """The policy file cannot be used; says where, what was found and what is accepted."""


Dollars = Annotated[float, Meta(ge=0)]


class Codes(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits of one-time codes; per ten minutes where nothing else is said."""

    countries: tuple[str, ...] = ("US", "CA")
    """ISO 3166-1 codes of the countries that codes go to."""
    per_number: int = 5
    per_prefix: int = 50
    """Numbers that share all but their last three digits: a range that somebody rented."""
    per_country_hour: int = 5000
    per_caller_minute: int = 600
    usd_per_text: Mapping[str, Dollars] = msgspec.field(
        default_factory=lambda: {"US": 0.0083, "CA": 0.0083}
    )
    """What a text costs, by country: the price list of your account."""
    usd_elsewhere: Dollars = 0.3
    """Where the list says nothing: dear, so that the ceilings hold."""
    usd_per_prefix_hour: Dollars = 5.0
    usd_per_caller_hour: Dollars = 100.0
    """What the codes of one API key may cost."""
    least_conversion: float = 0.2
    """Share of the codes of an hour that are approved; below it somebody is told."""
    stop_conversion: Annotated[float, Meta(ge=0, le=1)] = 0.05
    """Below it none goes to that country for an hour; 0 stops nothing."""


class Keep(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For how many days what is of a person, or merely counted, is kept once it is finished."""

    texts_days: Annotated[int, Meta(ge=1, le=3650)] = 30
    """Texts, names and numbers of notifications, bodies of events, and texts from people."""
    callbacks_days: Annotated[int, Meta(ge=7, le=3650)] = 30
    """What providers told. They repeat it for up to three days, which has to be recognised."""
    figures_days: Annotated[int, Meta(ge=31, le=3650)] = 400
    """What the objectives are judged by, over 30 days at the longest."""


class Policy(Struct, frozen=True, kw_only=True):
    """Everything that a policy file may say."""

    plans: Mapping[str, Plan]
    rates: Rates | None = None
    """Null: the providers' own where they are called themselves, none where a stand-in is."""
    shares: Shares
    senders: Mapping[str, float] = {}
    """Messages per second of single senders."""
    codes: Codes = Codes()
    keep: Keep = Keep()

    def plan(self, kind: str) -> Plan:
        """The plan of a kind; `KeyError` for one that has none."""
        return self.plans[kind]

    def encoded(self, kind: str) -> bytes:
        """The plan as it is stored with a notification."""
        return plans.encode(self.plans[kind])

    def rates_for(self, *, stand_in: bool) -> Rates:
        """The rates to keep; ``stand_in``: another server speaks for the provider."""
        if self.rates is not None:
            return self.rates
        return Rates() if stand_in else default_rates()


@cache
def default_policy() -> Policy:
    """What holds without a file."""
    return Policy(plans=plans.defaults(), shares=default_shares())


def parse(text: str) -> Policy:
    """A policy file over the defaults; raises `PolicyError`."""
    try:
        given = msgspec.toml.decode(text)
    except msgspec.DecodeError as error:
        msg = f"text that is not TOML ({error})"
        raise PolicyError(msg) from None
    except RecursionError:
        msg = "tables or lists nested too deeply; accepted: a few levels"
        raise PolicyError(msg) from None
    made = dict(plans.defaults())
    for name, value in given.items():
        if name in _SECTIONS:
            continue
        if name not in made:
            accepted = ", ".join([*sorted(made), *_SECTIONS])
            msg = f"a table [{name}]; accepted: {accepted}"
            raise PolicyError(msg)
        made[name] = _plan(name, made[name], value)
    shares = _section(given, "shares", Shares) or default_shares()
    if abs(shares.safety + shares.codes + shares.other - 1.0) > 1e-6:  # noqa: PLR2004 - a rounding
        msg = "[shares] that are not 1 together"
        raise PolicyError(msg)
    return Policy(
        plans=made,
        rates=_section(given, "rates", Rates),
        shares=shares,
        senders=_section(given, "senders", dict[str, float]) or {},
        codes=_section(given, "codes", Codes) or Codes(),
        keep=_section(given, "keep", Keep) or Keep(),
    )


def _section(given: Mapping[str, object], name: str, shape: type[Shape]) -> Shape | None:
    if name not in given:
        return None
    return _convert(given[name], shape, f"[{name}]")


def _convert(value: object, shape: type[Shape], where: str) -> Shape:
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError as error:
        said, _, path = str(error).partition(" - at `$")
        place = where + path.rstrip("`")
        msg = f"in {place}: {said}"
        raise PolicyError(msg) from None


def _plan(kind: str, default: Plan, value: object) -> Plan:
    where = f'["{kind}"]'
    if not isinstance(value, dict):
        msg = f"{where} that is no table"
        raise PolicyError(msg)
    unknown = sorted(set(value) - set(_PLAN_FIELDS))
    if unknown:
        msg = f"{where} with {unknown[0]}; accepted: {', '.join(_PLAN_FIELDS)}"
        raise PolicyError(msg)
    merged = {**msgspec.to_builtins(default), **value}
    plan = _convert(merged, Plan, where)
    wrong = _wrong_with(kind, plan)
    if wrong is not None:
        msg = f"{where} with {wrong}"
        raise PolicyError(msg)
    return plan


def _wrong_with(kind: str, plan: Plan) -> str | None:  # noqa: PLR0911 - one return for each rule
    """What a plan may not say; null when all is well."""
    if plan.lane.upper() not in Lane.__members__:
        return f"the lane {plan.lane}; accepted: {', '.join(lane.name.lower() for lane in Lane)}"
    if kind in _MUST_BE_SAFETY and plan.lane_number is not Lane.SAFETY:
        return f"the lane {plan.lane}; accepted: safety, which nothing else may hold up"
    if kind == "checkin.missed" and plan.on_unknown is not OnUnknown.RESEND:
        return "on_unknown = resend_if_absent; accepted: resend, as an alert prefers a duplicate"
    if kind in _MUST_BE_SAFETY and plan.quiet_hours:
        return "quiet_hours; an alert knows none"
    if plan.quiet_hours and parse_quiet(plan.quiet_hours) is None:
        return 'quiet_hours of another form; accepted: two times like 21:00-08:00, or none in ""'
    if not plan.steps:
        return "no step; accepted: at least one of sms, push, page"
    pages = [step for step in plan.steps if step.channel is Channel.PAGE]
    if pages and kind != "operator.page":
        return "a step by page; accepted: sms, push (the operator is paged when all steps failed)"
    wrong = (
        _wrong_with_topics(kind, plan) or _wrong_with_ttl(plan) or _wrong_with_commands(kind, plan)
    )
    if wrong is not None:
        return wrong
    longest = sum(step.retry_within_s + (step.receipt_within_s or 0) for step in plan.steps)
    if plan.expires_after_s < longest:
        return f"expires_after_s = {plan.expires_after_s}, less than its steps take ({longest})"
    return _wrong_with_own(kind, plan)


def _wrong_with_own(kind: str, plan: Plan) -> str | None:
    """What the plan of a kind of our own may not say."""
    if kind == PROOF and {step.channel for step in plan.steps} != {Channel.PUSH}:
        return "a step by another channel; accepted: push, which it proves"
    if kind in canaries.KINDS and [step.channel for step in plan.steps] != [kind.partition(".")[2]]:
        return f"other steps; accepted: one by {kind.partition('.')[2]}, which it proves"
    if kind == PROOF and plan.lane_number is not Lane.BULK:
        return f"the lane {plan.lane}; accepted: bulk, so that it holds up nobody else"
    return _wrong_with_code(plan) if kind == CODE else None


def _wrong_with_topics(kind: str, plan: Plan) -> str | None:
    """Topics are made for many, not for speed, and reach nobody in particular: never for alerts."""
    channels = {step.channel for step in plan.steps}
    only = _FOR_MANY.get(kind)
    if only is None:
        topics = sorted(channels & {Channel.TOPIC, Channel.TOPICS})
        if topics:
            return f"a step by {topics[0]}, which reaches nobody in particular; accepted: sms, push"
        return None
    if channels != {only}:
        return f"a step by another channel; accepted: {only}"
    if plan.lane_number is not Lane.BULK:
        return f"the lane {plan.lane}; accepted: bulk, so that it holds up nobody else"
    if plan.quiet_hours and only is not Channel.PUSH:
        return "quiet_hours; accepted: none, as a topic is followed in every time zone"
    return None


def _wrong_with_commands(kind: str, plan: Plan) -> str | None:
    """Commands are carried out by rules of their own, and nothing else may be at Stripe."""
    channels = {step.channel for step in plan.steps}
    if not kind.startswith(_COMMAND) or kind.startswith(NOTICE):
        if Channel.STRIPE in channels:
            return "a step by stripe, which reaches nobody; accepted: sms, push"
        return None
    if channels != {Channel.STRIPE} or len(plan.steps) > 1:
        return "other steps; accepted: one by stripe"
    if plan.lane_number not in {Lane.TRANSACTIONAL, Lane.BULK}:
        return f"the lane {plan.lane}; accepted: transactional, bulk, so that it holds up no alert"
    return "quiet_hours; accepted: none, as nobody is told" if plan.quiet_hours else None


def _wrong_with_ttl(plan: Plan) -> str | None:
    for step in plan.steps:
        if step.ttl_s is not None and step.channel not in {Channel.PUSH, Channel.TOPIC}:
            return f"ttl_s in a step by {step.channel}; accepted: in one by push or topic"
    return None


def _wrong_with_code(plan: Plan) -> str | None:
    if {step.channel for step in plan.steps} != {Channel.SMS}:
        return "a step by another channel; accepted: sms, which proves the number"
    if plan.expires_after_s > CODE_HOLDS_S:
        return f"expires_after_s = {plan.expires_after_s}; a code holds for {CODE_HOLDS_S}"
    return None
