"""``pruuf stats``: how the whole stands, the verdict first."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from gateway.cli import acknowledge, hold
from gateway.cli.database import connection, database, settings_or_exit
from gateway.cli.outcome import bad, clean, good, out, print_json
from outbox import wording
from outbox.store import stats as statistics
from outbox.store.connect import Role
from outbox.store.stats import Stats

_OVERDUE_S = 10.0
"""A due row that waits this long tells of relays that do not keep up."""


def stats(
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,  # noqa: FBT002
) -> None:
    """How the whole stands: lanes, ages, inbox, relays."""
    with database(settings_or_exit()) as settings, connection(settings, Role.DASHBOARD) as reader:
        now = statistics.read(reader)
    if as_json:
        print_json(now)
        return
    _verdict(now)
    table = Table(
        "lane", "in outbox", "due now", "oldest due", "in flight", "awaiting", "parked", box=None
    )
    for column in table.columns[1:]:
        column.justify = "right"
    for lane in now.lanes:
        counts = (lane.depth, lane.due, lane.in_flight, lane.awaiting, lane.parked)
        depth, due, in_flight, awaiting, parked = (f"{count:,}" for count in counts)
        oldest = wording.span(lane.oldest_s)
        table.add_row(lane.lane, depth, due, oldest, in_flight, awaiting, parked)
    out.print(table)
    out.print(f" {_counted(now.inbox_waiting, 'callback waits', 'callbacks wait')} to be applied")
    if now.erasures:
        who = _counted(now.erasures, "person waits", "people wait")
        out.print(f" {who} to be forgotten: pruuf erasures")
    for relay in now.relays:
        out.print(
            clean(
                f" relay {relay.host}/{relay.pid}: {relay.in_flight} in flight, "
                f"up since {relay.started_at.astimezone():%Y-%m-%d %H:%M:%S}",
            ),
        )
    out.print(f" partitions are made for {now.partition_days} days, today included")


def _verdict(now: Stats) -> None:
    depth = sum(lane.depth for lane in now.lanes)
    oldest = max((lane.oldest_s or 0.0 for lane in now.lanes), default=0.0)
    parked = sum(lane.parked for lane in now.lanes)
    if not now.relays:
        waiting = _counted(depth, "notification waits", "notifications wait")
        bad(f"no relay is alive, nothing is delivered; {waiting}. Start one: pruuf relay")
    elif oldest > _OVERDUE_S:
        bad(f"the oldest due notification has waited for {wording.span(oldest)}")
    elif depth:
        good(f"{_counted(depth, 'notification is', 'notifications are')} on the way")
    else:
        good("nothing is waiting")
    for each in now.holds:
        bad(hold.told(each))
    for known in now.acknowledged:
        out.print(f" {clean(acknowledge.told(known))}")
    if parked:
        bad(f"{_counted(parked, 'is parked and waits', 'are parked and wait')} for a person")


def _counted(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"
