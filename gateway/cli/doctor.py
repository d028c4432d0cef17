"""``pruuf doctor``: is this installation able to do its job? Each check comes with its remedy."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import psycopg
import typer
from msgspec import Struct
from rich.text import Text
from sqlalchemy.exc import DBAPIError

from gateway.cli import doctor_billing, doctor_keys
from gateway.cli.checks import Check
from gateway.cli.database import connection, database, found, settings_or_exit, trouble
from gateway.cli.doctor_line import of_line
from gateway.cli.outcome import Exit, clean, out, print_json
from outbox import wording
from outbox.domain.messages import Page
from outbox.domain.outcomes import Outcome, Result
from outbox.settings import NAMES, Settings, SettingsError
from outbox.store import stats
from outbox.store.connect import Role, owner_engine
from outbox.store.migrate import current_revision, newest_revision

_AHEAD_DAYS = 7
_SKEW_S = 5.0
"""Clocks further apart than this make ids, deadlines and stories hard to read."""
_OLDEST_POSTGRES = 170_000
_OPERATOR = {"webhook": "PRUUF_OPERATOR_WEBHOOK", "mail": "PRUUF_OPERATOR_SMTP"}


PageFlag = Annotated[
    bool, typer.Option("--page", help="Call the person on call, marked as a test.")
]


class Shown(Struct, frozen=True):
    """One setting as it may be shown."""

    value: str
    """Secrets are masked; empty when there is none."""
    source: str


def doctor(
    page: PageFlag = False,  # noqa: FBT002 - a flag
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,  # noqa: FBT002
) -> None:
    """Check settings, database, schema, relays and providers; says what to do."""
    settings = settings_or_exit()
    checks = list(_of_settings(settings))
    with database(settings, migrated=False) as opened:
        checks += _of_database(opened)
    checks += asyncio.run(_of_providers(settings))
    if settings.stripe is not None:
        checks += asyncio.run(doctor_billing.of_stripe(settings.stripe))
    checks += asyncio.run(_of_operator(settings, page=page))
    bad = [check for check in checks if not check.ok]
    if as_json:
        print_json({"ok": not bad, "checks": checks, "settings": _shown(settings)})
    else:
        _print(checks, _shown(settings))
    if bad:
        raise typer.Exit(Exit.BAD_NEWS)


def _print(checks: list[Check], settings: dict[str, Shown]) -> None:
    # Bad news first: a person acts on the first line.
    for check in sorted(checks, key=lambda check: check.ok):
        mark = ("✓", "green") if check.ok else ("✗", "bold red")
        out.print(Text.assemble(" ", mark, f" {check.name:<20} {clean(check.detail)}"))
        if not check.ok:
            for line in check.remedy.splitlines():
                out.print(f"     {clean(line)}")
    out.print("\n Settings")
    for name, shown in settings.items():
        value = clean(shown.value) or "–"
        source = "" if shown.source == "unset" else f"  ({clean(shown.source)})"
        out.print(f"   {name:<30} {value}{source}")


def _shown(settings: Settings) -> dict[str, Shown]:
    shown = {
        name: Shown(settings.shown.get(name, ""), settings.sources.get(name, "unset"))
        for name in NAMES
    }
    if not shown["PRUUF_PUBLIC_URL"].value:
        shown["PRUUF_PUBLIC_URL"] = Shown(settings.public_url, "from PRUUF_HOST and PRUUF_PORT")
    return shown


def _of_settings(settings: Settings) -> Iterator[Check]:
    for name, require in (
        ("Twilio settings", settings.require_twilio),
        ("FCM settings", settings.require_fcm),
    ):
        try:
            require()
        except SettingsError as error:
            named = ", ".join(problem.name for problem in error.problems)
            remedy = "\n".join(
                f"{found(each)}; accepted: {each.accepted}" for each in error.problems
            )
            yield Check(name, ok=False, detail=f"to mend: {named}", remedy=remedy)
        else:
            yield Check(name, ok=True, detail="complete")
    billing = "off: events of accounts are refused"
    if settings.stripe is not None:
        billing = f"on, at {settings.stripe.api_base or 'Stripe'}"
    yield Check("billing", ok=True, detail=billing)
    if settings.operator_webhook is None and settings.operator_smtp is None:
        yield Check(
            "operator",
            ok=False,
            detail="nobody is told when an alert reaches nobody",
            remedy="Set PRUUF_OPERATOR_WEBHOOK to an address that takes a POST of JSON,"
            " PRUUF_OPERATOR_SMTP to a mail server, or better both.",
        )
    private = settings.public_url.startswith(("http://127.", "http://localhost", "http://[::1]"))
    simulated = settings.twilio_api_base is not None
    yield Check(
        "public address",
        ok=simulated or not private,
        detail=settings.public_url,
        remedy="Twilio cannot call this back. Set PRUUF_PUBLIC_URL to the address it can reach.",
    )
    dotenv = Path.cwd() / ".env"
    if dotenv.exists():
        others = bool(dotenv.stat().st_mode & 0o077)
        yield Check(
            "./.env",
            ok=not others,
            detail="others may read it" if others else "for its owner's eyes only",
            remedy="chmod 600 .env",
        )


def _of_database(settings: Settings) -> list[Check]:
    try:
        checks = list(_read_database(settings))
        if all(check.ok for check in checks if check.name == "schema"):
            checks += asyncio.run(doctor_billing.of_books(settings))
    except (psycopg.Error, DBAPIError) as error:
        what, remedy = trouble(error)
        return [Check("database", ok=False, detail=f"{what} — DATABASE_URL", remedy=remedy)]
    return checks


def _read_database(settings: Settings) -> Iterator[Check]:
    with owner_engine(settings.require_database()).connect() as owner:
        revision = current_revision(owner)
    newest = newest_revision()
    yield Check(
        "schema",
        ok=revision == newest,
        detail=f"revision {revision or 'none'}, this version needs {newest}",
        remedy="Run: pruuf migrate",
    )
    if revision != newest:
        return
    yield doctor_keys.of_keys(settings.require_database())
    with connection(settings, Role.DASHBOARD) as reader:
        before = datetime.now(UTC)
        row = reader.execute("SELECT clock_timestamp()").fetchone()
        after = datetime.now(UTC)
        now = stats.read(reader)
        version = reader.info.server_version
        line = of_line(reader)
    yield line
    yield Check(
        "Postgres",
        ok=version >= _OLDEST_POSTGRES,
        detail=f"version {version // 10_000}.{version % 10_000}",
        remedy="Use Postgres 17 or newer.",
    )
    if row is not None and isinstance(row[0], datetime):
        skew = max((before - row[0]).total_seconds(), (row[0] - after).total_seconds(), 0.0)
        yield Check(
            "clocks",
            ok=skew < _SKEW_S,
            detail=f"{wording.span(skew)} between this machine and the database",
            remedy="Let both keep time (NTP). What is due is judged by the database's clock alone.",
        )
    yield Check(
        "partitions",
        ok=now.partition_days > _AHEAD_DAYS,
        detail=f"made for {now.partition_days} days, today included",
        remedy="A running relay makes them; or run: pruuf migrate",
    )
    yield Check(
        "relays",
        ok=bool(now.relays),
        detail=f"{len(now.relays)} alive" if now.relays else "none alive: nothing is delivered",
        remedy="Start one: pruuf relay (or pruuf up)",
    )


async def _of_providers(settings: Settings) -> list[Check]:
    from outbox.providers.wiring import providers  # noqa: PLC0415 - other verbs need not wait

    try:
        async with providers(settings) as made:
            sms, push = await asyncio.gather(made.sms.check(), made.push.check())
    except SettingsError:
        # Said already, with the names that are missing.
        return []
    return [
        _asked("Twilio credentials", sms, "TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN"),
        _asked("FCM credentials", push, "GOOGLE_APPLICATION_CREDENTIALS"),
    ]


async def _of_operator(settings: Settings, *, page: bool) -> list[Check]:
    """Every path to the person on call: tried without calling them, or with a test."""
    from outbox.providers.transport import PooledTransport  # noqa: PLC0415 - as above
    from outbox.providers.wiring import operator  # noqa: PLC0415 - as above

    async with PooledTransport() as transport:
        paths = operator(settings, transport).paths
        test = Page(
            notification_id=f"test-{uuid4()}",
            event_id="none",
            reason="test",
            summary="A test by pruuf doctor: this path works. Nobody needs help.",
            occurred_at=datetime.now(UTC),
        )
        outcomes = await asyncio.gather(
            *(path.send(test) if page else path.check() for path in paths.values())
        )
    return [
        _asked(f"operator by {name}", outcome, _OPERATOR[name])
        for name, outcome in zip(paths, outcomes, strict=True)
    ]


def _asked(name: str, outcome: Outcome, names: str) -> Check:
    ok = outcome.result is Result.ACCEPTED
    if ok:
        return Check(name, ok=True, detail=f"accepted, {outcome.latency_ms} ms")
    why = outcome.detail or (wording.with_code(outcome.provider, outcome.code or "unknown"))
    if outcome.result is Result.RETRYABLE:
        remedy = "It did not answer. Is the network there, and the address right?"
        return Check(name, ok=False, detail=f"no usable answer: {why}", remedy=remedy)
    return Check(name, ok=False, detail=f"refused: {why}", remedy=f"Put right: {names}")
