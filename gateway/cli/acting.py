"""How the command line acts for a person: seen first, asked for, done, and recorded for ever.

A rehearsal is the action itself, rolled back: it cannot say anything else than what would come.
"""

from __future__ import annotations

import getpass
import os
import socket
import sys
from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

import typer
from msgspec import Struct

from gateway.cli.outcome import Exit, clean, fail
from gateway.cli.progress import Progress
from outbox.domain.ids import parse_id
from outbox.settings import Settings
from outbox.store.actions import Done, Result
from outbox.store.connect import Role, connect
from outbox.store.rehearsal import Act, rehearse
from outbox.store.wake import CHANNEL

_LONGEST_REASON = 500

Reason = Annotated[str | None, typer.Option(help="Why; kept for ever, with who and when.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what it would touch; touch nothing.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


class Acted(Struct, frozen=True, kw_only=True):
    """What came of one, or would."""

    id: UUID
    result: str
    state: str
    """After it, as the API names it."""


class Plan(Struct, frozen=True, kw_only=True):
    """What is to be done."""

    what: str
    act: Act
    reason: str
    dry_run: bool
    yes: bool
    as_json: bool
    wakes: str | None = None
    """Whom of the relays it concerns; null: those of the lane."""


def identity_of(given: str) -> UUID:
    """An id of ours, or exit 1."""
    found = parse_id(given.strip())
    if found is None:
        remedy = "Ids look like 0192e4a0-…; pruuf search shows them."
        fail(Exit.BAD_NEWS, f"{given[:80]} is no id of ours", remedy=remedy)
    return found


def reason_of(given: str | None, *, dry_run: bool) -> str:
    """The reason, or exit 2."""
    if given is None and dry_run:
        return ""
    if given is None or not given.strip() or len(given) > _LONGEST_REASON or given != clean(given):
        accepted = f"accepted: 1 to {_LONGEST_REASON} printable characters"
        fail(Exit.WRONG_USE, "it needs a reason — --reason", remedy=accepted)
    return given


def actor() -> str:
    """Who acts here, for the ledger."""
    try:
        login = getpass.getuser()
    except (KeyError, OSError):
        login = f"uid {os.getuid()}"  # no name belongs to it
    return clean(f"{login}@{socket.gethostname()}")


def ask(plan: Plan, question: str) -> None:
    """Go on if somebody says so, or said so before; else exit."""
    confirm(question, yes=plan.yes)


def confirm(question: str, *, yes: bool) -> None:
    """The same for what has no plan."""
    if yes:
        return
    if not sys.stdin.isatty():
        remedy = "See first what it touches with --dry-run, then add --yes."
        fail(Exit.WRONG_USE, "there is nobody to ask — --yes", remedy=remedy)
    if not typer.confirm(f" {clean(question)}?", err=True):
        fail(Exit.BAD_NEWS, "nothing was done")


async def go(
    settings: Settings,
    plan: Plan,
    wanted: Sequence[UUID],
    *,
    rehearsed: bool = False,
    done: list[Acted] | None = None,
    progress: Progress | None = None,
) -> list[Acted]:
    """Act on each in a transaction of its own, and wake the relays."""
    done = [] if done is None else done
    url = settings.require_database()
    async with await connect(url, Role.GATEWAY, application="pruuf cli") as connection:
        words: set[str] = set()
        for each in wanted:
            if rehearsed:
                acted = await rehearse(connection, plan.act, each)
            else:
                acted = await plan.act(connection, each, actor=actor(), reason=plan.reason)
            if acted is not None:
                done.append(_acted(acted))
                words.add(plan.wakes or f"lane:{acted.lane}")
            if progress is not None:
                progress.advance(1)
        for word in () if rehearsed else sorted(words):
            await connection.execute("SELECT pg_notify(%s, %s)", (CHANNEL, word))
    return done


def _acted(done: Done) -> Acted:
    state = "pending" if done.state == "open" else done.state
    if done.state == "open" and done.result is Result.IN_FLIGHT:
        state = "sending"
    return Acted(id=done.id, result=str(done.result), state=state)
