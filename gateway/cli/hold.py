"""``pruuf hold`` and ``pruuf release``: whom the relays do not call, as a person said so."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated

import msgspec
import typer

from gateway.cli import spans
from gateway.cli.acting import DryRun, Reason, Yes, actor, confirm, reason_of
from gateway.cli.database import answered, database, settings_or_exit
from gateway.cli.outcome import Exit, bad, clean, fail, good, out, print_json
from gateway.cli.search import Json
from gateway.cli.signals import run
from outbox import wording
from outbox.domain.holds import CHANNELS, LONGEST_S, Sender
from outbox.sealing import Sealer
from outbox.settings import Settings
from outbox.store import holds
from outbox.store.connect import Role, connect
from outbox.store.holds import Hold, Touched

_HASH = re.compile(r"[0-9a-f]{16}\Z")

Provider = Annotated[str, typer.Argument(metavar="PROVIDER", help=", ".join(CHANNELS))]
OneSender = Annotated[
    str | None,
    typer.Option(
        "--sender",
        metavar="SENDER",
        help="One sender alone, as in TWILIO_FROM or as pruuf stats names it.",
    ),
]


def hold(
    provider: Provider,
    lasts: Annotated[
        str | None, typer.Option("--for", metavar="SPAN", help="Such as 30m or 2h; at most 24h.")
    ] = None,
    sender: OneSender = None,
    reason: Reason = None,
    dry_run: DryRun = False,  # noqa: FBT002 - a flag
    yes: Yes = False,  # noqa: FBT002 - a flag
    as_json: Json = False,  # noqa: FBT002 - a flag
) -> None:
    """Keep every relay from calling a provider, for a while. No try is used up by it.

    Alerts take their next step at once; everything else waits. What is being called is not
    stopped.
    """
    why = reason_of(reason, dry_run=dry_run)
    # A look asks for no end.
    for_s = 1 if lasts is None and dry_run else spans.seconds(lasts, least=1, most=LONGEST_S)
    with database(settings_or_exit()) as settings, answered():
        name = _named(settings, provider, sender)
        touched, known = run(_look(settings, provider, name))
        if name and not any(e.provider == provider and e.sender == name for e in known):
            remedy = "pruuf stats names those in use."
            fail(Exit.BAD_NEWS, "no relay uses it — --sender", remedy=remedy)
        if not as_json:
            tell(touched)
        held = None
        if not dry_run:
            confirm(f"hold {_words(provider, name)} for {wording.span(for_s)}", yes=yes)
            held = run(_hold(settings, provider, name, for_s, why))
    until = None if held is None else held.until
    result = "would_be_held" if held is None else "held"
    if as_json:
        _print(provider, name, result, until, touched)
    elif until is None:
        good(f"{_words(provider, name)} would be held; nothing was done")
    else:
        good(f"{_words(provider, name)} is held until {until.astimezone():%Y-%m-%d %H:%M:%S}")
        out.print(clean(f"   Before that: pruuf release {provider} --reason …"))


def release(
    provider: Provider,
    sender: OneSender = None,
    reason: Reason = None,
    dry_run: DryRun = False,  # noqa: FBT002 - a flag
    yes: Yes = False,  # noqa: FBT002 - a flag
    as_json: Json = False,  # noqa: FBT002 - a flag
) -> None:
    """Let the relays call a provider again, within seconds. Without --sender: all of it."""
    why = reason_of(reason, dry_run=dry_run)
    with database(settings_or_exit()) as settings, answered():
        name = _named(settings, provider, sender)
        touched, _ = run(_look(settings, provider, name))
        held = [each for each in run(_in_force(settings)) if _is_of(each, provider, name)]
        if held and not dry_run:
            confirm(f"let the relays call {_words(provider, name)} again", yes=yes)
            run(_release(settings, provider, name, why))
    result = "not_held" if not held else "would_be_released" if dry_run else "released"
    if as_json:
        _print(provider, name, result, None, touched)
    elif not held:
        bad(f"nobody holds {_words(provider, name)}")
    else:
        good(f"{_words(provider, name)} {'would be' if dry_run else 'is'} released")
    if not held:
        raise typer.Exit(Exit.BAD_NEWS)


def told(each: Hold) -> str:
    """``Twilio is held until 03:10:00 by key 5f1c9a (Ann, on call): texts arrive twice``."""
    until = f"{each.until.astimezone():%Y-%m-%d %H:%M:%S}"
    whom = _words(each.provider, each.sender)
    return f"{whom} is held until {until} by {each.actor}: {each.reason}"


def tell(touched: Touched) -> None:
    """What waits in the outbox and is touched by a hold."""
    out.print(f" alerts on the way that would have gone by it: {_many(touched.alerts)}")
    if touched.alerts:
        out.print("   They take their next step at once.")
    if touched.stranded:
        bad(f"alerts to which no other way is left: {_many(touched.stranded)}")
        out.print("   They wait until the release, and a person is paged for each.")
    out.print(f" other notifications that wait until the release: {_many(touched.others)}")
    if touched.others:
        out.print("   What is too late by then is not sent, as a one-time code after ten minutes.")


def _many(number: int) -> str:
    return f"{'more than ' if number >= holds.MOST else ''}{number:,}"


def _words(provider: str, sender: str) -> str:
    return wording.provider(provider) + (f", sender {sender}," if sender else "")


def _named(settings: Settings, provider: str, sender: str | None) -> str:
    """The keyed hash of the sender, empty for none; exit 2 for what cannot be held."""
    if provider not in CHANNELS:
        accepted = f"accepted: {', '.join(CHANNELS)}"
        fail(Exit.WRONG_USE, f"{clean(provider)[:80]} cannot be held — PROVIDER", remedy=accepted)
    if sender is None or _HASH.match(sender):
        return sender or ""
    return Sealer(settings.keys, settings.lookup_keys).lookup(sender.strip()).hex()[:16]


def _is_of(held: Hold, provider: str, sender: str) -> bool:
    return held.provider == provider and (not sender or held.sender == sender)


async def _look(settings: Settings, provider: str, sender: str) -> tuple[Touched, list[Sender]]:
    url = settings.require_database()
    async with await connect(url, Role.GATEWAY, application="pruuf cli") as connection:
        _, known = await holds.read(connection)
        return await holds.touched(connection, provider, sender), known


async def _in_force(settings: Settings) -> list[Hold]:
    url = settings.require_database()
    async with await connect(url, Role.GATEWAY, application="pruuf cli") as connection:
        return (await holds.read(connection))[0]


async def _hold(settings: Settings, provider: str, sender: str, for_s: int, why: str) -> Hold:
    url = settings.require_database()
    async with await connect(url, Role.GATEWAY, application="pruuf cli") as connection:
        return await holds.hold(
            connection, provider, sender, for_s=for_s, actor=actor(), reason=why
        )


async def _release(settings: Settings, provider: str, sender: str, why: str) -> None:
    url = settings.require_database()
    async with await connect(url, Role.GATEWAY, application="pruuf cli") as connection:
        await holds.release(connection, provider, sender, actor=actor(), reason=why)


def _print(
    provider: str, sender: str, result: str, until: datetime | None, touched: Touched
) -> None:
    print_json(
        {
            "provider": provider,
            "sender": sender,
            "result": result,
            "until": until,
            "touched": msgspec.structs.asdict(touched),
        }
    )


__all__ = ["hold", "release", "tell", "told"]
