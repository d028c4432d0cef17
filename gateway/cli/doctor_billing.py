"""What ``pruuf doctor`` says of billing: Stripe's key, price and version, our rows, both books."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from gateway.cli.checks import Check
from gateway.cli.reconcile_stripe import money
from outbox import wording
from outbox.domain.billing_books import CAUSES
from outbox.domain.billing_requests import Answered
from outbox.domain.billing_rules import PRICE_CENTS, RULES, Finding, Stored, price_faults
from outbox.domain.outcomes import Outcome, Result
from outbox.settings import Settings, StripeSettings
from outbox.store import billing_findings
from outbox.store.billing_findings import BOOKS
from outbox.store.connect import Role, connect

if TYPE_CHECKING:
    from outbox.providers.stripe_codes import Row

_SHOWN = 5
_MISSING = "resource_missing"
_AGAIN = "Wait a moment, then once more: pruuf doctor"
_SCHEDULE_S = 13 * 3600
"""Twice what the schedule waits, and a little more."""


async def of_stripe(settings: StripeSettings) -> list[Check]:
    """Ask Stripe for the price, which tells about the key, too."""
    from outbox.providers.wiring import billing  # noqa: PLC0415 - other verbs need not wait

    async with billing(settings) as stripe:
        answered = await stripe.price()
    return [*judged(settings, answered), _secrets(settings), _version()]


def judged(settings: StripeSettings, answered: Answered) -> Iterator[Check]:
    """Key and price, by what Stripe answered."""
    outcome, mode = answered.outcome, "test" if "_test_" in settings.api_key else "live"
    if outcome.result is not Result.ACCEPTED and outcome.code != _MISSING:
        yield Check("Stripe key", ok=False, detail=_refused(outcome), remedy=_remedy(outcome))
        return
    yield Check("Stripe key", ok=True, detail=f"accepted, in {mode} mode, {outcome.latency_ms} ms")
    if answered.object is None:
        yield Check("Stripe price", ok=False, detail=_refused(outcome), remedy=_remedy(outcome))
        return
    faults = price_faults(answered.object)
    yield Check(
        "Stripe price",
        ok=not faults,
        detail="; ".join(faults) or f"{money(PRICE_CENTS)} a month, active",
        remedy="Make a price of that kind in Stripe's dashboard, and set STRIPE_PRICE_ID to its id."
        " An archived one can be made active again there.",
    )


def _refused(outcome: Outcome) -> str:
    row = _row(outcome)
    name = row.name if row else "not listed"
    silent = outcome.result in {Result.RETRYABLE, Result.OUTCOME_UNKNOWN}
    return f"{'no usable answer' if silent else 'refused'}: {name} ({outcome.code})"


def _remedy(outcome: Outcome) -> str:
    row = _row(outcome)
    if row is None:
        return f"Look for {outcome.code} in Stripe's documentation. {_AGAIN}"
    # There is no command here that could be redriven.
    step = row.remedy.removesuffix("; then redrive")
    return f"{step[:1].upper()}{step[1:]}. {_AGAIN}" if step else _AGAIN


def _row(outcome: Outcome) -> Row | None:
    from outbox.providers.stripe_codes import row_of  # noqa: PLC0415 - other verbs need not wait

    return row_of(outcome.code or "")


def _secrets(settings: StripeSettings) -> Check:
    number = len(settings.webhook_secrets)
    known = len(set(settings.webhook_secrets))
    words = "1 secret" if number == 1 else f"{number} secrets, as while one is rolled"
    return Check(
        "Stripe webhooks",
        ok=0 < number == known,
        detail=words if number == known else "a secret is there twice",
        remedy="Set STRIPE_WEBHOOK_SECRETS to the signing secrets of the endpoint"
        " /webhooks/stripe, newest first; while one is rolled the old one too.",
    )


def _version() -> Check:
    import stripe  # noqa: PLC0415 - other verbs need not wait

    from outbox.providers.stripe import API_VERSION  # noqa: PLC0415 - as above

    return Check(
        "Stripe API version",
        ok=stripe.api_version == API_VERSION,
        detail=f"{API_VERSION} with every request; the SDK is of {stripe.api_version}",
        remedy="Install the versions of requirements.lock: an SDK of another version may put"
        " requests together that the pinned one does not know.",
    )


async def of_books(settings: Settings) -> list[Check]:
    """What breaks a rule of billing now, and what differed from Stripe's books the last time."""
    price = None if settings.stripe is None else settings.stripe.price_id
    url = settings.require_database()
    async with await connect(url, Role.RELAY, application="pruuf cli") as connection:
        broken = await billing_findings.broken_rules(connection, price=price)
        found = await billing_findings.stored(connection)
        age_s = await billing_findings.age_s(connection, BOOKS)
    checks = [_rules(broken)]
    if settings.stripe is not None:
        checks.append(_books([each for each in found if each.source == BOOKS], age_s))
    return checks


def _rules(broken: Sequence[Finding]) -> Check:
    steps = {RULES[each.cause].step for each in broken}
    lines = [
        f"{each.object} of {each.account or 'nobody of ours'}: {RULES[each.cause].why}"
        for each in broken[:_SHOWN]
    ]
    if len(broken) > _SHOWN:
        lines.append(f"and {len(broken) - _SHOWN:,} more: pruuf reconcile stripe")
    number = "1 row breaks one" if len(broken) == 1 else f"{len(broken):,} rows break one"
    return Check(
        "billing rules",
        ok=not broken,
        detail=number if broken else f"all {len(RULES)} hold",
        remedy="\n".join([*lines, *(f"→ {step}" for step in sorted(steps))]),
    )


def _books(differing: Sequence[Stored], age_s: float) -> Check:
    if differing:
        causes = Counter(each.finding.cause for each in differing)
        at_stake = money(sum(each.finding.amount for each in differing))
        all_of_them = "1 difference" if len(differing) == 1 else f"{len(differing):,} differences"
        lines = [f"{number:,} {CAUSES[cause].why}" for cause, number in causes.most_common(_SHOWN)]
        return Check(
            "Stripe's books",
            ok=False,
            detail=f"{all_of_them}, {at_stake} at stake",
            remedy="\n".join([*lines, "→ pruuf reconcile stripe, then with --repair"]),
        )
    old = age_s > _SCHEDULE_S
    when = "never compared" if age_s == float("inf") else f"compared {wording.span(age_s)} ago"
    return Check(
        "Stripe's books",
        ok=not old,
        detail=when if old else f"the same as ours, {when}",
        remedy="A running relay compares them every few hours; or run: pruuf reconcile stripe",
    )
