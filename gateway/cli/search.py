"""``pruuf search``: which notifications there are, newest first."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import msgspec
import typer
from msgspec import Meta
from rich.table import Table

from gateway.cli import spans
from gateway.cli.database import database, reader, settings_or_exit
from gateway.cli.outcome import Exit, clean, err, fail, out, print_json
from outbox import wording
from outbox.domain.phones import problem_with
from outbox.sealing import Sealer
from outbox.store import listing
from outbox.store.connect import Role
from outbox.store.reading import run
from outbox.store.views import STATES, Filter, Page, Summary

_MOST = 10_000

Since = Annotated[
    str | None,
    typer.Option(
        metavar="T",
        help="Accepted at or after this: 2026-01-31T09:00:00Z, or so long ago: 90s, 30m, 2h, 3d.",
    ),
]
State = Annotated[str | None, typer.Option(metavar="STATE", help=", ".join(STATES))]
Kind = Annotated[str | None, typer.Option(help="Such as checkin.missed.")]
Json = Annotated[bool, typer.Option("--json", help="For programs.")]


def search(
    recipient: Annotated[str | None, typer.Option(help="Whom they are for.")] = None,
    phone: Annotated[str | None, typer.Option(help="The number they go to, E.164.")] = None,
    kind: Kind = None,
    state: State = None,
    since: Since = None,
    limit: Annotated[int, typer.Option(min=1, max=_MOST)] = 50,
    as_json: Json = False,  # noqa: FBT002 - a flag
) -> None:
    """Which notifications there are, newest first. A number is looked for by its keyed hash."""
    wanted = Filter(
        state=state_of(state, STATES),
        kind=kind,
        recipient=recipient,
        since=moment(since),
        limit=limit,
    )
    if phone is not None and (problem := problem_with(phone)):
        fail(Exit.WRONG_USE, f"this is {problem} — --phone", remedy="accepted: like +12025550123")
    with database(settings_or_exit()) as settings:
        role = Role.DASHBOARD
        if phone is not None:
            role = Role.GATEWAY
            hashes = Sealer(settings.keys, settings.lookup_keys).lookups(phone)
            wanted = msgspec.structs.replace(wanted, phone_hashes=tuple(hashes))
        with reader(settings, role) as connection:
            page = run(connection, listing.notifications(wanted))
    if as_json:
        cursor = None if page.next is None else listing.encode_cursor(page.next)
        print_json({"items": page.items, "next": cursor})
        return
    _print(page)


def _print(page: Page) -> None:
    if not page.items:
        out.print("No notification fits.")
        return
    table = Table("accepted", "what", "for", "state", "id", box=None)
    for item in page.items:
        table.add_row(
            f"{item.created_at.astimezone():%Y-%m-%d %H:%M:%S}",
            clean(about(item)),
            clean(item.recipient),
            clean(standing(item)),
            str(item.id),
        )
    out.print(table)
    if page.next is not None:
        err.print(f"There are more than {len(page.items):,}: --limit, or a narrower question.")


def about(item: Summary) -> str:
    """``Missed check-in of m_1``."""
    return f"{wording.kind(item.kind)} of {item.subject}"


def standing(item: Summary) -> str:
    """``not reached: no receipt in time``."""
    shown = wording.state(item.state)
    if item.state == "delivered":
        return f"{shown} by {wording.channel(item.channel)}"
    return shown if item.reason is None else f"{shown}: {wording.reason(item.reason)}"


def state_of(given: str | None, accepted: tuple[str, ...]) -> str | None:
    """A state as it was given, or exit 2."""
    if given is not None and given not in accepted:
        fail(
            Exit.WRONG_USE,
            f"{given} is no state that fits here — --state",
            remedy=f"accepted: {', '.join(accepted)}",
        )
    return given


def moment(given: str | None) -> datetime | None:
    """A time as people say it, or exit 2."""
    if given is None:
        return None
    try:
        if (ago := spans.parse(given)) is not None:
            return datetime.now(UTC) - ago
        said: datetime = msgspec.convert(given.strip(), Annotated[datetime, Meta(tz=True)])
        return said.astimezone(UTC)
    except (msgspec.ValidationError, OverflowError, ValueError):
        fail(
            Exit.WRONG_USE,
            f"{given} is no time — --since",
            remedy="accepted: an RFC 3339 time with its zone, like 2026-01-31T09:00:00Z, or a span"
            " before now, like 90s, 30m, 2h or 3d",
        )
