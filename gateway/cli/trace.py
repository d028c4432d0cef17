"""``pruuf trace``: what became of one event or notification, as a story."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.cells import cell_len
from rich.text import Text

from gateway.cli.database import database, reader, settings_or_exit
from gateway.cli.outcome import Exit, clean, fail, out, print_json
from outbox import story, wording
from outbox.domain.ids import parse_id
from outbox.store import reads
from outbox.store.reading import run
from outbox.store.views import Event, Notification

_TITLE_WIDTH = 98
_WHAT_WIDTH = 34
_THEN_AT = 52


def trace(
    identity: Annotated[str, typer.Argument(metavar="ID", help="Of an event or a notification.")],
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,  # noqa: FBT002
) -> None:
    """Everything known of one event or notification, in order."""
    wanted = parse_id(identity.strip())
    if wanted is None:
        fail(
            Exit.BAD_NEWS,
            f"{identity[:80]} is no id of ours",
            remedy="Ids look like 0192e4a0-…; they are in the answer to POST /v1/events "
            "and in GET /v1/notifications.",
        )
    with database(settings_or_exit()) as settings, reader(settings) as connection:
        event = run(connection, reads.event(wanted))
        ids = [n.id for n in event.notifications] if event else [wanted]
        found = [run(connection, reads.notification(each)) for each in ids]
    stories = [notification for notification in found if notification is not None]
    if event is None and not stories:
        fail(
            Exit.BAD_NEWS,
            f"nothing is known of {wanted}",
            remedy="Is this the right database? It may also be older than what is kept.",
        )
    if as_json:
        print_json({"event": event, "notifications": stories})
        return
    if event is not None:
        _event(event)
    for told in stories:
        _story(told, alone=event is None)


def _event(event: Event) -> None:
    out.print(
        clean(
            f" {event.type} of {event.subject} from {event.source} ({event.id}), "
            f"accepted {_when(event.accepted_at)}",
        ),
    )
    if not event.notifications:
        out.print(" Nobody had to be told.")


def _story(told: Notification, *, alone: bool) -> None:
    title = clean(f" {wording.kind(told.kind)} of {told.subject} → {told.recipient}")
    end = clean(story.ending(told))
    gap = max(2, _TITLE_WIDTH - cell_len(title) - cell_len(end))
    out.print()
    out.print(Text.assemble((title, "bold"), " " * gap, (end, "bold")))
    about = f" {told.id}   lane {told.lane}   accepted {_when(told.created_at)}"
    if told.trace_id is not None:
        about += f"\n trace {told.trace_id}"
    out.print(Text(clean(about), "dim"))
    for line in story.lines(told):
        at = f"{line.at.astimezone():%H:%M:%S.%f}"[:-3]
        shown = clean(line.what)
        if line.known:
            shown = f"{_padded(shown, _WHAT_WIDTH)}  {clean(line.known)}"
        if line.then:
            shown = f"{_padded(shown, _THEN_AT)}  → {clean(line.then)}"
        out.print(f" {at}  {shown}")
    if told.next_at is not None:
        out.print(f" {_due(told.next_at)}")
    if told.texts_dropped_at is not None:
        out.print(Text(f" its texts, names and number were dropped {_when(told.texts_dropped_at)}"))
    if alone:
        out.print(Text(f" the whole event: pruuf trace {told.event_id}", "dim"))


def _padded(text: str, width: int) -> str:
    return text + " " * max(0, width - cell_len(text))


def _due(at: datetime) -> str:
    left = (at - datetime.now(UTC)).total_seconds()
    if left >= 0:
        return f"{at.astimezone():%H:%M:%S}      is looked at again, in {wording.span(left)}"
    return f"{at.astimezone():%H:%M:%S}      is due since {wording.span(-left)}: is a relay alive?"


def _when(at: datetime) -> str:
    """In the reader's zone, with the day unless it is today's, and with its age."""
    local, now = at.astimezone(), datetime.now(UTC)
    shown = f"{local:%H:%M:%S %Z}"
    if local.date() != now.astimezone().date():
        shown = f"{local:%d %b %Y} {shown}"
    return f"{shown}, {wording.age((now - at).total_seconds())}"
