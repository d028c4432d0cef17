"""``pruuf trace`` and ``pruuf stats``: what became of one thing, and how the whole stands."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import msgspec
import psycopg
import typer
from rich.table import Table
from sqlalchemy import create_engine
from sqlalchemy.engine import Engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from gateway.cli.database import connection, database, settings_or_exit
from gateway.cli.outcome import Exit, fail, out
from outbox.domain.ids import parse_id
from outbox.domain.timeline import Entry
from outbox.settings import Settings
from outbox.store import reads
from outbox.store import stats as statistics
from outbox.store.connect import Role, conninfo
from outbox.store.reading import run
from outbox.store.views import Event, Notification

Json = Annotated[bool, typer.Option("--json", help="For programs.")]

_NAMES = {
    "checkin.confirmed": "Check-in confirmed",
    "checkin.missed": "Missed check-in",
    "member.invited": "Invite",
    "operator.page": "Operator page",
}


def _engine(settings: Settings) -> Engine:
    url = settings.require_database()
    return create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(conninfo(url, Role.DASHBOARD, application="pruuf cli")),
        poolclass=NullPool,
    )


def trace(
    identity: Annotated[str, typer.Argument(metavar="ID", help="Of an event or a notification.")],
    as_json: Json = False,  # noqa: FBT002 - a flag
) -> None:
    """Everything known of one event or notification, in order."""
    wanted = parse_id(identity)
    if wanted is None:
        fail(
            Exit.BAD_NEWS,
            f"{identity!r} is no id of ours",
            remedy="Ids are in the answer to POST /v1/events and in GET /v1/notifications.",
        )
    with database(settings_or_exit()) as settings:
        try:
            with _engine(settings).connect() as reader:
                event = run(reader, reads.event(wanted))
                ids = [n.id for n in event.notifications] if event else [wanted]
                found = [run(reader, reads.notification(each)) for each in ids]
        except OperationalError:
            fail(Exit.UNREACHABLE, "the database cannot be reached — DATABASE_URL")
    stories = [notification for notification in found if notification is not None]
    if event is None and not stories:
        fail(Exit.BAD_NEWS, f"nothing is known of {identity}", remedy="Or its time of keeping is over.")
    if as_json:
        value = {"event": event, "notifications": stories}
        out.print_json(msgspec.json.encode(value).decode())
        return
    if event is not None:
        _print_event(event)
    for story in stories:
        _print_story(story)


def _print_event(event: Event) -> None:
    out.print(
        f" {event.type} of {event.subject} from {event.source} ({event.id}), accepted "
        f"{_ago(event.accepted_at)}: {len(event.notifications)} notifications",
        markup=False,
    )


def _print_story(story: Notification) -> None:
    name = _NAMES.get(story.kind, story.kind)
    title = f" {name} of {story.subject} → {story.recipient}"
    out.print(f"\n{title:<64}[bold]{_ending(story)}[/]")
    for entry in story.timeline:
        at = entry.at.astimezone().strftime("%H:%M:%S.%f")[:-3] if entry.at else "            "
        out.print(f" {at}  {_line(entry)}", markup=False)


def _ending(story: Notification) -> str:
    if story.final_at is None:
        return story.state.replace("_", " ")
    seconds = (story.final_at - story.created_at).total_seconds()
    after = f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"  # noqa: PLR2004
    if story.state == "delivered":
        return f"reached by {story.channel} after {after}"
    return f"{story.state} after {after}: {story.reason}"


def _line(entry: Entry) -> str:
    parts = [entry.what]
    if entry.channel:
        parts.append(entry.channel)
    if entry.provider:
        parts.append(entry.provider)
    if entry.provider_id:
        parts.append(f"{entry.provider_id[:10]}…")
    if entry.outcome:
        parts.append(entry.outcome)
    if entry.code:
        parts.append(f"({entry.code})")
    line = " ".join(parts)
    return f"{line:<56} → {entry.detail}" if entry.detail else line


def _ago(moment: datetime) -> str:
    seconds = int((datetime.now(UTC) - moment).total_seconds())
    shown = f"{moment.astimezone():%H:%M:%S}"
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{shown}, {seconds // size} {unit} ago"
    return f"{shown}, {seconds} s ago"


def stats(as_json: Json = False) -> None:  # noqa: FBT002 - a flag
    """How the whole stands: lanes, ages, inbox, relays."""
    with database(settings_or_exit()) as settings, connection(settings, Role.DASHBOARD) as reader:
        now = statistics.read(reader)
    if as_json:
        out.print_json(msgspec.json.encode(now).decode())
        return
    table = Table("lane", "in outbox", "due now", "oldest due", "in flight", "awaiting", "parked", box=None)
    for lane in now.lanes:
        oldest = "–" if lane.oldest_s is None else f"{lane.oldest_s:.1f} s"
        counts = (lane.depth, lane.due, lane.in_flight, lane.awaiting, lane.parked)
        depth, due, in_flight, awaiting, parked = (f"{count:,}" for count in counts)
        table.add_row(lane.lane, depth, due, oldest, in_flight, awaiting, parked)
    out.print(table)
    out.print(f" Inbox: {now.inbox_waiting:,} callbacks wait to be applied")
    alive = ", ".join(f"{relay.host}/{relay.pid} ({relay.in_flight} in flight)" for relay in now.relays)
    out.print(f" Relays alive: {alive or 'none: nothing is being delivered; start one: pruuf relay'}")
    out.print(f" Partitions made ahead: {now.partition_days - 1} days")
