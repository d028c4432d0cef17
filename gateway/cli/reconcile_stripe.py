"""``pruuf reconcile stripe``: Stripe's books against ours, both ways; seen first, then mended."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from datetime import datetime
from uuid import uuid4

import typer
from msgspec import Struct
from prometheus_client import CollectorRegistry

from gateway.cli.database import answered, database, settings_or_exit
from gateway.cli.outcome import Exit, bad, clean, fail, good, out, print_json
from gateway.cli.progress import Progress
from gateway.cli.search import Since, moment
from gateway.cli.signals import run
from outbox.domain.billing_books import CAUSES, Repair
from outbox.domain.billing_rules import RULES, Finding
from outbox.sealing import Sealer
from outbox.settings import Settings, StripeSettings
from outbox.store import billing_books, billing_findings
from outbox.store.billing_findings import BOOKS
from outbox.store.connect import Connection, Role, connect

_SHOWN = 20
_PAUSE_S = 0.05
"""Between calls: a fifth of what Stripe allows."""

_STEPS = {
    Repair.ASK: "--repair has Stripe asked for each, and takes what it says",
    Repair.END: "--repair ends at Stripe what nobody should pay for",
    Repair.PERSON: "look at Stripe's dashboard: nothing here may decide that",
}


class _Outcome(Struct, kw_only=True):
    """What there is to tell."""

    met: int = 0
    others: int = 0
    found: Sequence[Finding] = ()
    broken: Sequence[Finding] = ()


def stripe(since: Since, *, repair: bool, yes: bool, as_json: bool) -> None:
    """Compare, tell, and mend where that is wanted."""
    settings = settings_or_exit()
    if settings.stripe is None:
        remedy = "Set STRIPE_API_KEY, STRIPE_PRICE_ID and STRIPE_WEBHOOK_SECRETS."
        fail(Exit.WRONG_USE, "billing is off here: there are no books at Stripe", remedy=remedy)
    begin, account = moment(since), settings.stripe
    with database(settings) as opened, answered():
        with Progress("objects", total=None) as shown:
            outcome = run(_compare(opened, account, begin, shown))
        if not as_json:
            _print(outcome)
        made = _repair(opened, outcome.found, yes=yes, quiet=as_json) if repair else None
    if as_json:
        print_json(_shape(outcome, made))
    if outcome.found or outcome.broken:
        raise typer.Exit(Exit.BAD_NEWS)


async def _compare(
    settings: Settings,
    account: StripeSettings,
    since: datetime | None,
    shown: Progress,
) -> _Outcome:
    from outbox.providers.wiring import billing  # noqa: PLC0415 - others need not wait
    from outbox.relay.billing_books import (  # noqa: PLC0415 - as above
        KINDS,
        UnreachableError,
        Walk,
    )

    outcome, begun = _Outcome(), time.monotonic()
    session = _session(settings)
    try:
        async with billing(account) as provider:
            walk = Walk(
                session=session,
                stripe=provider,
                price=account.price_id,
                name=str(uuid4()),
                since=since,
                pause_s=_PAUSE_S,
            )
            for kind in KINDS:
                after: str | None = None
                while True:
                    page = await walk.page(kind, after)
                    outcome.met += page.rows
                    outcome.others += page.others
                    shown.advance(page.rows)
                    after = page.following
                    if after is None:
                        break
            outcome.found = await walk.differences()
        connection = await session.get()
        await _keep(connection, outcome, begun=begun, whole=since is None)
        outcome.broken = await billing_findings.broken_rules(connection, price=account.price_id)
        await billing_books.forget(connection, walk.name)
    except UnreachableError as error:
        remedy = "Is it reachable, and is STRIPE_API_KEY right? pruuf doctor"
        fail(Exit.UNREACHABLE, f"Stripe cannot be asked ({error.code})", remedy=remedy)
    finally:
        await session.drop()
    return outcome


async def _keep(connection: Connection, outcome: _Outcome, *, begun: float, whole: bool) -> None:
    """As the schedule does: what is new counts as a billing error; a part forgets nothing."""
    if not whole:
        await billing_findings.add(connection, BOOKS, outcome.found)
        return
    await billing_findings.replace(
        connection,
        BOOKS,
        outcome.found,
        took_s=time.monotonic() - begun,
        looked_at_rows=outcome.met,
    )


def _session(settings: Settings):  # type: ignore[no-untyped-def] # noqa: ANN202 - imported late
    from observability.relay_metrics import RelayMetrics  # noqa: PLC0415 - others need not wait
    from outbox.relay.database import Session  # noqa: PLC0415 - as above

    async def open_() -> Connection:
        url = settings.require_database()
        return await connect(url, Role.RELAY, application="pruuf cli")

    return Session(open_, part="cli", metrics=RelayMetrics(CollectorRegistry()))


def _shape(outcome: _Outcome, made: int | None) -> dict[str, object]:
    return {
        "ok": not outcome.found and not outcome.broken,
        "at_stripe": outcome.met,
        "others": outcome.others,
        "differences": [
            {
                "cause": each.cause,
                "object": each.object,
                "account": each.account,
                "amount": each.amount,
                "detail": each.detail,
                "repair": CAUSES[each.cause].repair,
            }
            for each in outcome.found
        ],
        "broken_rules": outcome.broken,
        "amount": sum(each.amount for each in outcome.found),
        "repairs": made,
    }


def money(cents: int) -> str:
    """``$2.99``."""
    return f"${cents / 100:,.2f}"


def _print(outcome: _Outcome) -> None:
    figures = f"{outcome.met:,} customers and subscriptions at Stripe"
    if outcome.found:
        at_stake = money(sum(each.amount for each in outcome.found))
        number = len(outcome.found)
        what = "1 difference" if number == 1 else f"{number:,} differences"
        bad(f"{what}, {at_stake} at stake: {figures}")
    else:
        good(f"both books tell the same: {figures}")
    if outcome.others:
        out.print(f" {outcome.others:,} are of no account of ours")
    for cause, known in CAUSES.items():
        found = [each for each in outcome.found if each.cause == cause]
        if found:
            _list(found, known.why, _STEPS[known.repair])
    if outcome.broken:
        bad(f"{len(outcome.broken):,} rows of ours break a rule of billing")
    for name, rule in RULES.items():
        found = [each for each in outcome.broken if each.cause == name]
        if found:
            _list(found, rule.why, rule.step)


def _list(found: Sequence[Finding], why: str, step: str) -> None:
    out.print(f"\n {len(found):,} {why}")
    for each in found[:_SHOWN]:
        whose = each.account or "nobody of ours"
        out.print(clean(f"   {each.object}  of {whose}  {money(each.amount)}  {each.detail}"))
    if len(found) > _SHOWN:
        out.print(f"   and {len(found) - _SHOWN:,} more")
    out.print(f"   → {step}")


def _repair(settings: Settings, found: Sequence[Finding], *, yes: bool, quiet: bool) -> int:
    """Have mended what can be, once somebody has seen what that is."""
    wanted = [each for each in found if CAUSES[each.cause].repair is not Repair.PERSON]
    if not wanted:
        return 0
    asked = len({e.object for e in wanted if CAUSES[e.cause].repair is Repair.ASK})
    ended = len({e.account for e in wanted if CAUSES[e.cause].repair is Repair.END})
    if not quiet:
        out.print(
            f"\n would ask Stripe for {asked:,} objects, and bring {ended:,} accounts in line"
        )
    if not yes:
        if not sys.stdin.isatty():
            remedy = "See first what differs without --repair, then add --yes."
            fail(Exit.WRONG_USE, "there is nobody to ask — --yes", remedy=remedy)
        if not typer.confirm(" do it?", err=True):
            fail(Exit.BAD_NEWS, "nothing was done")
    made = run(_order(settings, wanted))
    if not quiet:
        good(f"{made:,} put into the outbox; a relay carries them out, then reconcile again")
    return made


async def _order(settings: Settings, found: Sequence[Finding]) -> int:
    from outbox.relay.billing_books import repair  # noqa: PLC0415 - others need not wait

    session = _session(settings)
    try:
        sealer = Sealer(settings.keys, settings.lookup_keys)
        return await repair(session, sealer, settings.policy, found)
    finally:
        await session.drop()
