"""``pruuf doctor``: is this installation able to do its job? Each check comes with its remedy."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from msgspec import Struct

from gateway.cli.database import connection, database, settings_or_exit
from gateway.cli.outcome import Exit, out
from outbox.domain.outcomes import Outcome, Result
from outbox.providers.wiring import providers
from outbox.settings import NAMES, Settings, SettingsError
from outbox.store import stats
from outbox.store.connect import Role, owner_engine
from outbox.store.migrate import current_revision, newest_revision

_AHEAD_DAYS = 7


class Check(Struct, frozen=True):
    """One thing that was looked at."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,  # noqa: FBT002
) -> None:
    """Check settings, database, schema, relays and providers; says what to do."""
    with database(settings_or_exit(), migrated=False) as settings:
        checks = [*_of_settings(settings), *_of_database(settings)]
        checks += asyncio.run(_of_providers(settings))
    bad = [check for check in checks if not check.ok]
    if as_json:
        value = {"ok": not bad, "checks": checks, "settings": _sources(settings)}
        out.print_json(msgspec.json.encode(value).decode())
    else:
        for check in checks:
            mark = "[green]✓[/]" if check.ok else "[bold red]✗[/]"
            out.print(f" {mark} {check.name:<22} {check.detail}")
            if not check.ok:
                out.print(f"     {check.remedy}", markup=False)
        out.print("\n Settings")
        for name, source in _sources(settings).items():
            out.print(f"   {name:<32} {source}", markup=False)
    if bad:
        raise typer.Exit(Exit.BAD_NEWS)


def _sources(settings: Settings) -> dict[str, str]:
    return {name: settings.sources.get(name, "default") for name in NAMES}


def _of_settings(settings: Settings) -> Iterator[Check]:
    tries: tuple[tuple[str, Callable[[], object]], ...] = (
        ("Twilio settings", settings.require_twilio),
        ("FCM settings", settings.require_fcm),
    )
    for name, require in tries:
        try:
            require()
        except SettingsError as error:
            missing = ", ".join(problem.name for problem in error.problems)
            remedy = "; ".join(str(problem) for problem in error.problems)
            yield Check(name, ok=False, detail=f"missing: {missing}", remedy=remedy)
        else:
            yield Check(name, ok=True, detail="complete")
    yield Check(
        "operator webhook",
        ok=settings.operator_webhook is not None,
        detail="set" if settings.operator_webhook else "nobody is told when an alert reaches nobody",
        remedy="Set PRUUF_OPERATOR_WEBHOOK to an address that takes a POST of JSON.",
    )
    private = settings.public_url.startswith(("http://127.", "http://localhost"))
    simulated = settings.twilio_api_base is not None
    yield Check(
        "public address",
        ok=simulated or not private,
        detail=settings.public_url,
        remedy="Twilio cannot call this back. Set PRUUF_PUBLIC_URL to the address it can reach.",
    )
    dotenv = Path.cwd() / ".env"
    if dotenv.exists():
        readable = bool(dotenv.stat().st_mode & 0o077)
        yield Check(
            "./.env",
            ok=not readable,
            detail="others may read it" if readable else "for your eyes only",
            remedy="chmod 600 .env",
        )


def _of_database(settings: Settings) -> Iterator[Check]:
    with owner_engine(settings.require_database()).connect() as owner:
        revision = current_revision(owner)
    newest = newest_revision()
    yield Check(
        "schema",
        ok=revision == newest,
        detail=f"revision {revision or 'none'}, this version needs {newest}",
        remedy="pruuf migrate",
    )
    if revision != newest:
        return
    with connection(settings, Role.DASHBOARD) as reader:
        now = stats.read(reader)
        version = reader.info.server_version
    yield Check("Postgres", ok=version >= 170_000, detail=str(version), remedy="Use Postgres ≥ 17.")  # noqa: PLR2004
    yield Check(
        "partitions",
        ok=now.partition_days > _AHEAD_DAYS,
        detail=f"{max(0, now.partition_days - 1)} days ahead",
        remedy="A running relay makes them; or: pruuf migrate",
    )
    yield Check(
        "relays",
        ok=bool(now.relays),
        detail=f"{len(now.relays)} alive",
        remedy="Nothing is being delivered. Start one: pruuf relay (or pruuf up)",
    )


async def _of_providers(settings: Settings) -> list[Check]:
    try:
        async with providers(settings) as made:
            return [
                _asked("Twilio credentials", await made.sms.check(), "TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN"),
                _asked("FCM credentials", await made.push.check(), "GOOGLE_APPLICATION_CREDENTIALS"),
            ]
    except SettingsError:
        # Said already, with the names that are missing.
        return []


def _asked(name: str, outcome: Outcome, settings: str) -> Check:
    ok = outcome.result is Result.ACCEPTED
    detail = f"accepted, {outcome.latency_ms} ms" if ok else f"{outcome.result} ({outcome.code})"
    remedy = f"Put right: {settings}"
    if outcome.result is Result.RETRYABLE:
        remedy = "It did not answer. Is the network there, and the address right?"
    return Check(name, ok=ok, detail=detail, remedy=remedy)


